"""Words with a parameter in them: `top7`, `character_error_rate_ctc`."""

import re

from optkit.metrics import Metric

TOP = re.compile(r"top([1-9]\d*)")
CTC = re.compile(r"(character_error_rate|word_error_rate|exact_match)_ctc(\d+|_last)?")


def takes(word: str) -> bool:
    """Whether a word is such a metric."""
    return bool(TOP.fullmatch(word) or CTC.fullmatch(word))


def parameterized(word: str, output: str | None) -> Metric | None:
    """The metric; None where the word has no parameter.

    `topK`: the label is among the K best classes. `_ctc` behind an error rate or exact_match: scores [n, time, classes] are decoded
    greedily, equal neighbours joined and blanks left out; class 0 is the blank, or N with `_ctcN`, the last with `_ctc_last`.
    """
    if found := TOP.fullmatch(word):
        from optkit.metrics.top1 import Top1

        return Top1(output, int(found[1]))
    if found := CTC.fullmatch(word):
        from optkit.registry import load

        blank = -1 if found[2] == "_last" else int(found[2] or 0)
        made: Metric = load("metrics", found[1])(output, blank)
        made.name = word
        return made
    return None
