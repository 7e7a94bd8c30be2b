"""Every model's answers to every example, scored batch by batch; no answer is kept longer than it takes to score it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.datasets import Examples
from optkit.errors import DataError, ModelError
from optkit.measure._agreement import with_agreement
from optkit.measure.feeds import batches_of, fitted, is_fixed
from optkit.metrics import Metric, SetMetric, default_metrics
from optkit.progress import Progress
from optkit.runtimes import Session
from optkit.samples import Samples
from optkit.stats.summaries import summarize

Answer = Mapping[str, Array]

SCORED_TOGETHER = 128
"""Examples: metrics take as long for a few as for one."""
LARGEST_HELD = 32 * 2**20
"""Bytes of answers kept for that, of all models."""


@dataclass
class _Scored:
    """One model's scores on some examples in a row."""

    finite: Array
    scores: dict[str, Array] = field(default_factory=dict)
    """By metric."""
    parts: dict[str, list[Array]] = field(default_factory=dict)


class Scoring:
    """Collects the answers of all models to some examples, scores them together, and keeps the scores."""

    def __init__(
        self,
        examples: Examples,
        metrics: Sequence[Metric] | None,
        models: Sequence[str],
        output: str | None,
        outputs: Sequence[ir.Value] = (),
    ) -> None:
        self.examples = examples
        self.wanted = metrics
        self.metrics: Sequence[Metric] | None = None
        """Known once the original has answered."""
        self.models = models
        self.output = output
        self.outputs = outputs
        self.done: list[tuple[slice, list[_Scored]]] = []
        """What every model scored on some examples: there is all of it or nothing, wherever Ctrl-C comes."""
        self.held: list[tuple[slice, list[Answer]]] = []

    @property
    def scored(self) -> int:
        """Examples, from the first on."""
        return self.done[-1][0].stop if self.done else 0

    def add(self, rows: slice, answers: list[Answer]) -> None:
        """Take the answers of all models to the examples `rows`."""
        if self.held and _form(self.held[-1][1]) != _form(answers):
            self.flush()
        self.held.append((rows, answers))
        size = sum(array.nbytes for _, kept in self.held for answer in kept for array in answer.values())
        if rows.stop - self.held[0][0].start >= SCORED_TOGETHER or size > LARGEST_HELD:
            self.flush()

    def flush(self) -> None:
        """Score what is held."""
        held = [each for each in self.held if each[0].start >= self.scored]
        if held:
            rows = slice(held[0][0].start, held[-1][0].stop)
            joined = [_joined([answers[i] for _, answers in held]) for i in range(len(self.models))]
            self.done.append((rows, self._scores_of(rows, joined)))
        self.held = []

    def _scores_of(self, rows: slice, answers: Sequence[Answer]) -> list[_Scored]:
        found = [_Scored(fine) for fine in self._fine(rows, answers)]
        labels, reference = self.examples.labels, answers[0]
        if self.metrics is None:
            chosen = default_metrics(labels, reference, self.output) if self.wanted is None else self.wanted
            asked = self.wanted is not None
            self.metrics = with_agreement(chosen, self.outputs, reference, self.output, labelled=labels is not None, asked=asked)
        for answer, kept in zip(answers, found, strict=True):
            for metric in self.metrics:
                try:
                    _score(kept, metric, answer, None if labels is None else labels[rows], reference)
                except DataError as error:  # a metric sees arrays, the user's name for them is known here
                    error.where = error.where or self.examples.source
                    raise
        return found

    def samples(self) -> list[tuple[Samples, ...]]:
        """The scores of every model on the examples that are scored, without what so few do not have, such as the AUROC of one class."""
        self.flush()
        by_model = [[kept[i] for _, kept in self.done] for i in range(len(self.models))]
        complete = all(bool(each.finite.all()) for kept in by_model for each in kept)
        metrics = [
            each
            for each in self.metrics or ()
            if self.scored == len(self.examples) or not isnan(_summary_of(self._samples(each, by_model[0])))
        ]
        found = []
        for kept in by_model:
            of_model = [self._samples(metric, kept) for metric in metrics]
            if not complete:
                values = tuple(np.concatenate([each.finite for each in kept]).astype(float).tolist())
                of_model.insert(0, Samples("finite", "ratio", "higher", values, "example", groups=self._groups()))
            found.append(tuple(of_model))
        return found

    def _samples(self, metric: Metric, kept: Sequence[_Scored]) -> Samples:
        values = np.concatenate([each.scores[metric.name] for each in kept])
        labels = self.examples.labels if metric.summary == "auroc" else None
        truth = () if labels is None else tuple(labels[: self.scored].reshape(len(values)).astype(float).tolist())
        parts = tuple(tuple(row.tolist()) for each in kept for row in each.parts.get(metric.name, ()))
        numbers = tuple(values.astype(float).tolist())
        return Samples(metric.name, metric.unit, metric.better, numbers, "example", metric.summary, truth, self._groups(), parts)

    def _groups(self) -> tuple[int, ...]:
        if self.examples.groups is None:
            return ()
        return tuple(np.unique(self.examples.groups[: self.scored], return_inverse=True)[1].ravel().tolist())

    def _fine(self, rows: slice, answers: Sequence[Answer]) -> list[Array]:
        """Per model and example whether the answer is sound."""
        reference = answers[0]
        for name, array in self._floats(reference).items():
            broken = np.isnan(array).reshape(len(array), -1).any(axis=1)
            if broken.any():
                at = rows.start + (int(broken.argmax()) if len(array) == rows.stop - rows.start else 0)
                what = f"its output {name!r} is NaN for example {at} of {self.examples.source}"
                raise ModelError(what, where=self.models[0], hint="a model to compare with must answer; check the data and the model")
        found = []
        for answer in answers:
            fine = np.ones(rows.stop - rows.start, bool)
            for name, array in self._floats(answer).items():
                fine &= _finite_rows(array, reference.get(name), len(fine))
            found.append(fine)
        return found

    def _floats(self, answer: Answer) -> dict[str, Array]:
        names = answer if self.output is None else [name for name in answer if name == self.output]
        return {name: answer[name] for name in names if answer[name].dtype.kind == "f"}


def score_all(
    sessions: Sequence[Session],
    names: Sequence[str],
    examples: Examples,
    metrics: Sequence[Metric] | None,
    batch: int,
    output: str | None,
    progress: Progress,
    *,
    outputs: Sequence[ir.Value] = (),
    interrupted: Callable[[int], None] | None = None,
) -> list[tuple[Samples, ...]]:
    """The samples of every metric for every model, the first being the reference; `metrics` None chooses what suits data and answers.

    `outputs` are those of the original's graph, where it has one: they tell what agreement is of (see `_agreement`).

    Where some answer of a model is NaN, or infinite where the reference is not, every model also gets samples `finite`: 1 for a
    sound answer, 0 for a broken one. Ctrl-C ends it with the first examples, those scored by then, where somebody wants to hear of it
    by `interrupted`, which is told how many were left. Raises ModelError when the reference's answers are NaN.
    """
    scoring = Scoring(examples, metrics, names, output, outputs)
    fixed = any(map(is_fixed, sessions))
    try:
        for rows, feed in batches_of(examples, batch, fixed):
            count = rows.stop - rows.start
            answers = [_answer_of(session, name, feed) for session, name in zip(sessions, names, strict=True)]
            scoring.add(rows, [_rows_of(answer, examples.whole, count, fixed) for answer in answers])
            if rows.stop * 100 // len(examples) > rows.start * 100 // len(examples):
                progress("answers", rows.stop, len(examples))
        return scoring.samples()
    except KeyboardInterrupt:
        if interrupted is None or not (scoring.done or scoring.held):
            raise
        found = scoring.samples()
        interrupted(len(examples) - scoring.scored)
        return found


def _summary_of(samples: Samples) -> float:
    return summarize(samples.summary, np.asarray(samples.values), samples.parts, np.asarray(samples.labels))


def _score(kept: _Scored, metric: Metric, answer: Answer, labels: Array | None, reference: Answer) -> None:
    if isinstance(metric, SetMetric):
        parts = metric.parts(answer, labels, reference)
        kept.parts[metric.name] = list(parts)
        kept.scores[metric.name] = metric.alone(parts)
    else:
        kept.scores[metric.name] = metric.score(answer, labels, reference)


def _answer_of(session: Session, name: str, feed: Answer) -> Answer:
    """Inputs of models that are compared go by their names; what a model wants and the others do not is said so."""
    try:
        return session.run(fitted(feed, session.inputs))
    except DataError as error:
        missing = [port.name for port in session.inputs if port.name not in feed]
        if not missing:
            raise
        what = f"it wants {_named(missing)}, and the data has {_named(feed)}"
        hint = "models are compared on the same inputs, by name: export this one with the names that the first one has"
        raise DataError(what, where=name, hint=hint) from error


def _named(inputs: Iterable[str]) -> str:
    return ", ".join(map(repr, inputs))


def _rows_of(answer: Answer, whole: bool, count: int, filled: bool) -> Answer:
    if whole:  # a batch of one is that one already: another axis would make sequences images
        return {name: array if array.ndim and len(array) == 1 else array[None] for name, array in answer.items()}
    if filled:  # what repeats answered is left out
        return {name: array[:count] if array.ndim else array for name, array in answer.items()}
    return answer


def _form(answers: Sequence[Answer]) -> tuple[object, ...]:
    """What answers must have in common to be joined."""
    return tuple((name, array.shape[1:] if array.ndim else None) for answer in answers for name, array in answer.items())


def _joined(parts: Sequence[Answer]) -> Answer:
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([np.atleast_1d(part[name]) for part in parts]) for name in parts[0]}


def _finite_rows(array: Array, reference: Array | None, rows: int) -> Array:
    """Per example, whether every value is finite, or infinite as the reference's is."""
    fine = np.isfinite(array)
    if reference is not None and reference.shape == array.shape and reference.dtype.kind == "f":
        fine |= np.isinf(array) & ~np.isfinite(reference)
    if len(array) != rows:  # no axis of examples: all share the fault
        return np.full(rows, bool(fine.all()))
    return np.asarray(fine.reshape(rows, -1).all(axis=1))
