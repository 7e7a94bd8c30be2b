"""How good the files of one model are: fidelity beside float32, and a task score by a metric of optkit or by a referee."""

import json
import shlex
import subprocess
from collections.abc import Mapping, Sequence
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

MOST = 1e12
"""Energy over noise, and noise over energy: 120 dB."""


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
    """How near a file's answers come to float32's, in dB of what varies: an output's part that is the same for all examples carries no
    information, and must not make an error look small. Of several outputs the one that suffers most counts, example by example.
    """

    def __init__(self, session: Session, examples: Examples, output: str | None) -> None:
        self.feeds = list(full_feeds(session, examples))
        self.truth = [session.run(feed) for feed in self.feeds]
        floats = [name for name, array in self.truth[0].items() if array.dtype.kind == "f"]
        names = [output] if output is not None else floats or list(self.truth[0])
        self.varies = {name: _varying([answer[name] for answer in self.truth]) for name in names}
        """Of every output that is judged."""

    def of(self, path: Path) -> Score:
        """dB of every feed. Raises ModelError for a file whose answers are not finite or never change, and what opening it raises."""
        session = open_session(path)
        known = {port.name for port in session.inputs}
        given = [session.run({k: v for k, v in feed.items() if k in known}) for feed in self.feeds]
        if any(_breaks(got[name], truth[name]) for got, truth in zip(given, self.truth, strict=True) for name in self.varies):
            raise ModelError("its answers are not finite", where=str(path))
        if _constant(given) and not _constant(self.truth):
            raise ModelError("its answers do not depend on the input", where=str(path))
        values = np.array([self._decibels(got, truth) for got, truth in zip(given, self.truth, strict=True)])
        return Score("sqnr", float(values.mean()), values)

    def _decibels(self, got: Mapping[str, Array], truth: Mapping[str, Array]) -> float:
        noise = max(_noise(got[name], truth[name]) / size for name, size in self.varies.items())
        return float(-10 * np.log10(np.clip(noise, 1 / MOST, MOST)))


def judged_by_metric(word: str, output: str | None, examples: Examples, path: Path, original: Path) -> Score:
    """The score that a metric (a word or module:function) gives each example: against labels, or against the original's answers."""
    metric, session = find_metric(word, output), open_session(path)
    beside = open_session(original) if metric.needs == "reference" else None
    found = []
    for number, feed in enumerate(full_feeds(session, examples)):
        answer = _with_axis(session.run(feed), examples.whole)
        if beside is not None:
            found.append(metric.score(answer, None, _with_axis(beside.run(feed), examples.whole)))
            continue
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


def _varying(answers: Sequence[Array]) -> float:
    """Mean energy of a value's distance from its mean over examples; of the values themselves where nothing varies, or shapes differ."""
    known = [_finite(a) for a in answers]
    alike = len(known) > 1 and len({a.shape for a in known}) == 1
    centre = np.mean(known, axis=0) if alike else 0.0
    return _energy([a - centre for a in known]) or _energy(known) or 1.0


def _energy(arrays: Sequence[Array]) -> float:
    return float(np.mean([np.square(a).mean() for a in arrays]))


def _noise(got: Array, truth: Array) -> float:
    return float(np.square(_finite(got) - _finite(truth)).mean()) if got.shape == truth.shape else float("inf")


def _finite(values: Array) -> Array:
    """As float64; a mask's infinities, which every sound file has too, count for nothing."""
    return np.nan_to_num(np.asarray(values, np.float64), nan=0, posinf=0, neginf=0)


def _breaks(got: Array, truth: Array) -> bool:
    """Whether anything is not finite where float32's answer is."""
    return got.shape == truth.shape and not bool((np.isfinite(got) | ~np.isfinite(truth)).all())


def _constant(answers: Sequence[dict[str, Array]]) -> bool:
    first = answers[0]
    return len(answers) > 1 and all(np.array_equal(each[name], array) for each in answers[1:] for name, array in first.items())
