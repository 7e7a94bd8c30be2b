"""How good the files of one model are: fidelity beside float32, and a task score by a metric of optkit or by a referee."""

import json
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from optkit.arrays import Array
from optkit.datasets import Examples
from optkit.errors import ModelError, OptkitError
from optkit.metrics import find_metric
from optkit.runtimes import Session, full_feeds, open_session
from optkit.stats.interval import Interval
from optkit.stats.paired import mean_difference, summary_difference
from optkit.stats.proportions import paired_share_difference
from optkit.stats.summaries.auroc import Auroc


@dataclass(frozen=True)
class Score:
    """One number for each example, and what they come to; `labels` where that is the area under the ROC curve."""

    metric: str
    value: float
    each: Array
    labels: Array | None = None

    def minus(self, other: "Score") -> Interval:
        """Its value minus that of another score of the same examples."""
        if self.labels is not None:
            mine, others = (Auroc(s.each, [], self.labels) for s in (self, other))
            return summary_difference(others, mine, len(self.each))
        before, after = other.each, self.each
        if np.isin(before, (0, 1)).all() and np.isin(after, (0, 1)).all():
            gained, lost = int(((after == 1) & (before == 0)).sum()), int(((after == 0) & (before == 1)).sum())
            return paired_share_difference(gained, lost, len(after))
        return mean_difference(before, after)


class Fidelity:
    """Float32's answers to some examples, one feed at a time, and how near a file's come."""

    def __init__(self, session: Session, examples: Examples, output: str | None) -> None:
        self.metric = find_metric("sqnr", output)
        self.feeds = list(full_feeds(session, examples))
        self.truth = [_with_axis(session.run(feed), examples.whole) for feed in self.feeds]
        self.whole = examples.whole

    def of(self, path: Path) -> Score:
        """dB of every example. Raises ModelError for a file whose answers are not finite or never change, and what opening it raises."""
        session = open_session(path)
        names = {port.name for port in session.inputs}
        given = [_with_axis(session.run({k: v for k, v in feed.items() if k in names}), self.whole) for feed in self.feeds]
        if any(not np.isfinite(a).all() for got in given for a in got.values() if a.dtype.kind == "f"):
            raise ModelError("its answers are not finite", where=str(path))
        if _constant(given) and not _constant(self.truth):
            raise ModelError("its answers do not depend on the input", where=str(path))
        found = [self.metric.score(got, None, truth) for got, truth in zip(given, self.truth, strict=True)]
        values = np.concatenate(found)
        return Score("sqnr", float(values.mean()), values)


def judged_by_metric(word: str, output: str | None, examples: Examples, path: Path) -> Score:
    """The score that a metric (a word or module:function) gives each example."""
    metric, session = find_metric(word, output), open_session(path)
    found = []
    for number, feed in enumerate(full_feeds(session, examples)):
        answer = _with_axis(session.run(feed), examples.whole)
        rows = len(next(iter(answer.values())))
        labels = None if examples.labels is None else examples.labels[number * rows : (number + 1) * rows]
        found.append(metric.score({name: array[: len(labels)] for name, array in answer.items()} if labels is not None else answer, labels))
    values = np.concatenate(found)
    if metric.summary != "auroc":
        return Score(word, float(values.mean()), values)
    assert examples.labels is not None
    return _auroc(word, values, examples.labels)


def judged_by_referee(command: str, name: str, path: Path, evaluation: Path, kept: Path) -> Score:
    """What a program says that scores a file: its JSON has `metric`, `value` and `per_example`. Kept as long as the file is the same.

    In `command` {model}, {data}, {name} and {scores} stand for the file, its examples, the model's name and where the JSON goes.
    Raises OptkitError when the program fails.
    """
    if not kept.exists():
        filled = [word.format(model=path, data=evaluation, name=name, scores=kept) for word in shlex.split(command)]
        done = subprocess.run(filled, capture_output=True, text=True, check=False)
        if done.returncode or not kept.exists():
            last = [*done.stdout.splitlines(), *done.stderr.splitlines(), "no word of why"]
            raise OptkitError(f"the referee fails: {(done.stderr.splitlines() or last)[-1][:200]}", where=str(path))
    found = json.loads(kept.read_text(encoding="utf-8"))
    values = np.asarray(found["per_example"], np.float64)
    if found["metric"].startswith("auc"):
        with np.load(evaluation) as file:
            return _auroc(found["metric"], values, file["labels"])
    return Score(found["metric"], float(found["value"]), values)


def mean_of(score: Score) -> Interval:
    """A score's mean over examples with its interval."""
    return mean_difference(np.zeros(len(score.each)), score.each)


def _auroc(metric: str, values: Array, labels: Array) -> Score:
    return Score(metric, float(Auroc(values, [], labels).under(np.ones((1, len(values))))[0]), values, labels)


def _with_axis(answer: dict[str, Array], whole: bool) -> dict[str, Array]:
    return {name: array[None] for name, array in answer.items()} if whole else answer


def _constant(answers: Sequence[dict[str, Array]]) -> bool:
    first = answers[0]
    return len(answers) > 1 and all(np.array_equal(each[name], array) for each in answers[1:] for name, array in first.items())
