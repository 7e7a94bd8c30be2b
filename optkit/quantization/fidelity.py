"""How close a variant's outputs are to the float model's."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from optkit.quantization.answer_cost import AnswerCost, Margins, margins_of
from optkit.quantization.channel_noise import ChannelNoise, Signal, signal_of
from optkit.quantization.score_channels import ScoreAgreement, find_scores, holds_scores
from optkit.runtimes import Session

Array = np.ndarray[Any, np.dtype[Any]]

RESHAPING = frozenset({"Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "ReduceMean"})
"""What comes out means what went in: a mean of probabilities is one too."""
PICKING = RESHAPING | {"Transpose", "Slice", "Gather", "Concat"}
NO_ANSWERS = frozenset({"GRU", "LSTM", "RNN", "Tanh", "LayerNormalization", "LpNormalization", "BatchNormalization"})
"""What ends in one of these is a vector of features or a state: its largest element says nothing."""
LEAST_PROBABILITY = 1e-4
"""Classes less likely than this are all equally unlikely: a confident answer does not hang on how they rank."""
SMALLEST_PROBABILITY = 1e-9
"""What a softmax in float32 still tells apart."""
FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16})
MOST_DECIBELS = 120.0
GLANCE = 16
"""Feeds after which a variant may be given up."""


@dataclass(frozen=True)
class Fidelity:
    """Signal-to-noise of what varies in the outputs in dB (see `channel_noise`; the worst output counts) and share of equal answers.

    Answers are the first float output (its largest element, or the side of one half of a probability) and whole-number outputs;
    None where there is none, as for a state or an embedding. Where all outputs are whole numbers, the share that differs is the noise.
    """

    sqnr: float
    agreement: float | None
    finite: bool = True
    varies: bool = True
    """Whether the outputs depend on the input; also true where the float model's do not."""
    numbers: float | None = None
    """As `sqnr`, of outputs that are neither probabilities nor scores alone: there noise is all that can be held against."""
    cost: float | None = None
    """Share of answers lost by the float model's own confidence (see answer_cost)."""
    high_scores: float | None = None
    """How well the high scores of a detector agree: F1 (see score_channels)."""


class Reference:
    """The float model's answers to some feeds, against which variants are held.

    Probabilities are compared as the logits they came from: a softmax cannot hide errors of the classes that come into question.
    """

    def __init__(self, model: ir.Model, session: Session, feeds: Sequence[Mapping[str, Array]]) -> None:
        self.feeds = list(feeds)
        self.forms = {str(v.name): _form_of(v) for v in model.graph.outputs}
        self.answer = next((str(v.name) for v in model.graph.outputs if v.dtype in FLOATS or v.dtype is None), None)
        if any(str(v.name) == self.answer and _form_of(v, PICKING) in NO_ANSWERS for v in model.graph.outputs):
            self.answer = None
        self.answers = [self._only_known(session.run(feed)) for feed in self.feeds]
        self.shares = {name for name in self.forms if all(_adds_up(a[name]) for a in self.answers if name in a)}
        """Outputs that are probabilities whatever operators made them."""
        floats = {n for n in self.forms if all(n in a and a[n].dtype.kind == "f" for a in self.answers)}
        mixed = [str(v.name) for v in model.graph.outputs if v.name in floats and holds_scores(v)]
        found = {name: find_scores([a[name] for a in self.answers]) for name in mixed}
        self.scores = {name: channels for name, channels in found.items() if channels is not None}
        """Outputs in which scores lie beside other numbers, as a detector's."""
        self._signals: dict[tuple[int, str], Signal] = {}
        self._margins: dict[int, list[Margins]] = {}
        if self.answer in self.scores:
            self.answer = None

    def compare(self, session: Session, first: int | None = None, hopeless: Callable[[Fidelity], bool] | None = None) -> Fidelity:
        """Fidelity of a session on the first `first` feeds, or on all; on the first `GLANCE` alone if those are `hopeless`."""
        held = _Held()
        for place, (feed, expected) in enumerate(zip(self.feeds[:first], self.answers[:first], strict=True)):
            if place == GLANCE and hopeless is not None and hopeless(held.fidelity(varies=True)):
                break
            got = self._only_known(session.run(feed))
            held.see(got, expected)
            for name, truth in expected.items():
                if truth.dtype.kind != "f":
                    held.same.append(_share_of_equal(truth, got[name]))
                elif not np.isfinite(got[name]).all() and not _as_infinite(truth, got[name]):
                    held.finite = False
                else:
                    self._hold(held, place, name, got[name])
                    held.same += self._same(name, truth, got[name]) if name == self.answer else []
        return held.fidelity(varies=held.varies or not held.truth_varies)

    def _hold(self, held: "_Held", place: int, name: str, got: Array) -> None:
        """Hold one output of one feed against the truth."""
        scores, truth = self.scores.get(name), self.answers[place][name]
        if scores is not None and truth.shape == got.shape:
            held.scores.add(scores.of(truth), scores.of(got))
            held.add(f"{name} scores", scores.of(truth), scores.of(got), alike=True, apart=True)
            held.add(name, scores.others(truth), scores.others(got))
            return
        shares = self._is_share(name)
        expected, found = self._logits(name, truth), self._logits(name, got)
        if (place, name) not in self._signals:
            self._signals[place, name] = signal_of(expected)
        held.add(name, expected, found, self._signals[place, name], alike=shares, apart=shares and name == self.answer)
        if name == self.answer and truth.shape == got.shape and truth.ndim > 1 and truth.shape[-1] > 1:
            if place not in self._margins:
                self._margins[place] = margins_of(_logs(truth) if shares else expected)
            held.cost.add(self._margins[place], got if shares else found, _logs if shares else np.asarray)

    def _is_share(self, name: str) -> bool:
        return self.forms[name] == "Softmax" or name in self.shares

    def _same(self, name: str, truth: Array, got: Array) -> list[float]:
        """Share of equal answers of one feed, if the output holds any."""
        if truth.shape != got.shape or not truth.ndim:
            return []
        if truth.shape[-1] > 1:
            return [float(np.mean(truth.argmax(-1) == got.argmax(-1)))]
        return [float(np.mean((truth > 0.5) == (got > 0.5)))] if self.forms[name] == "Sigmoid" else []

    def _only_known(self, answers: Mapping[str, Array]) -> dict[str, Array]:
        return {name: np.asarray(answers[name]) for name in self.forms if np.asarray(answers[name]).dtype.kind in "fiub"}

    def _logits(self, name: str, values: Array) -> Array:
        """As float32 or wider."""
        if self._is_share(name):
            logs = np.log(np.maximum(values, LEAST_PROBABILITY, dtype=np.promote_types(values.dtype, np.float32)))
            logs -= logs.mean(axis=-1, keepdims=True)
            return logs
        if self.forms[name] == "Sigmoid":
            clipped = np.clip(values.astype(np.float64), 1e-7, 1 - 1e-7)
            odds: Array = np.log(clipped / (1 - clipped))
            return odds
        return values.astype(np.promote_types(values.dtype, np.float32), copy=False)


class _Held:
    """What is gathered while a variant is held against the truth."""

    def __init__(self) -> None:
        self.noise: dict[str, ChannelNoise] = {}
        self.apart: set[str] = set()
        """Of these something better than noise tells whether they are good."""
        self.cost = AnswerCost()
        self.scores = ScoreAgreement()
        self.same: list[float] = []
        self.finite = True
        self._first: tuple[Mapping[str, Array], Mapping[str, Array]] | None = None
        self.seen = 0
        self.varies = self.truth_varies = False

    def see(self, got: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
        """Whether answers are the same every time."""
        self._first = self._first or (got, expected)
        self.seen += 1
        self.varies = self.varies or _differ(got, self._first[0])
        self.truth_varies = self.truth_varies or _differ(expected, self._first[1])

    def add(self, name: str, truth: Array, got: Array, signal: Signal | None = None, *, alike: bool = False, apart: bool = False) -> None:
        self.noise.setdefault(name, ChannelNoise(alike=alike)).add(truth, got, signal)
        if apart:
            self.apart.add(name)

    def fidelity(self, *, varies: bool) -> Fidelity:
        ratios = {name: each.ratio() for name, each in self.noise.items()}
        if not ratios and self.same:  # whole numbers only: what differs is all the noise there is
            ratios[""] = 1 - float(np.mean(self.same))
        worst = min(map(decibels, ratios.values()), default=MOST_DECIBELS)
        numbers = min((decibels(r) for name, r in ratios.items() if name not in self.apart), default=None)
        agreement = float(np.mean(self.same)) if self.same else None
        sqnr = worst if self.finite else -np.inf
        return Fidelity(sqnr, agreement, self.finite, varies, numbers, self.cost.cost(), self.scores.value())


def _logs(values: Array) -> Array:
    """Logits of probabilities, those of hopeless classes as well."""
    logs: Array = np.log(np.maximum(values, SMALLEST_PROBABILITY, dtype=np.promote_types(values.dtype, np.float32)))
    return logs


def _adds_up(values: Array) -> bool:
    """Whether the last axis holds probabilities that add up to one."""
    if values.dtype.kind != "f" or not values.ndim or values.shape[-1] < 2 or not np.isfinite(values).all():
        return False
    return bool((values >= 0).all() and np.allclose(values.sum(axis=-1), 1, atol=1e-3))


def _share_of_equal(truth: Array, got: Array) -> float:
    if truth.shape != got.shape:
        return 0.0
    return float(np.mean(truth == got)) if truth.size else 1.0


def _as_infinite(truth: Array, got: Array) -> bool:
    """Whether every value that is not finite is one that the float model gives there as well."""
    return truth.shape == got.shape and bool(np.isfinite(got[np.isfinite(truth)]).all())


def _differ(one: Mapping[str, Array], other: Mapping[str, Array]) -> bool:
    return any(not np.array_equal(each, other[name]) for name, each in one.items())


def decibels(noise: float) -> float:
    """Signal-to-noise ratio in dB, at most 120."""
    if not np.isfinite(noise):
        return -np.inf
    return MOST_DECIBELS if noise <= 10 ** (-MOST_DECIBELS / 10) else -10 * float(np.log10(noise))


def _form_of(value: ir.Value, through: Container[str] = RESHAPING) -> str:
    """The operator that shaped an output, seen through reshapes and into branches that agree: Softmax and Sigmoid give probabilities."""
    node = value.producer()
    while node is not None and node.op_type in through and node.inputs[0] is not None:
        value = node.inputs[0]
        node = value.producer()
    if node is not None and node.op_type == "If":
        place = list(node.outputs).index(value)
        forms = {_form_of(node.attributes[name].as_graph().outputs[place], through) for name in ("then_branch", "else_branch")}
        return forms.pop() if len(forms) == 1 else ""
    return node.op_type if node is not None else ""
