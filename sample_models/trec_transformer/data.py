"""The TREC questions (Li and Roth, 2002) in six classes: abbreviation, description, entity, human, location, number."""

import numpy as np

from sample_models.fetch import fetch

EVALUATED = 1000
"""The first so many evaluate; the others train."""


def questions() -> tuple[list[str], np.ndarray]:
    """Every different question once (case aside), in a fixed random order, with its class 0..5 (the classes in alphabetical order)."""
    found: dict[str, tuple[str, str]] = {}
    for line in (fetch("trec_questions") / "question_labels.txt").read_text(encoding="utf-8").splitlines():
        kind, _, question = line.strip().partition(" ")
        if ":" in kind:
            found.setdefault(question.lower(), (question, kind.split(":")[0]))
    rows = [list(found.values())[i] for i in np.random.default_rng(0).permutation(len(found))]
    kinds = sorted({kind for _, kind in rows})
    return [question for question, _ in rows], np.array([kinds.index(kind) for _, kind in rows])
