"""How close a variant's outputs are to the float model's."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.fidelity.answer_cost import AnswerCost, Margins, margins_of
from optkit.quantization.fidelity.channel_noise import ChannelNoise, Signal, ratio_of_each, signal_of, varying_share
from optkit.quantization.fidelity.lengths import as_long, varying_axes
from optkit.quantization.fidelity.output_roles import OutputRoles
from optkit.quantization.fidelity.score_channels import ScoreAgreement
from optkit.runtimes import Session

LEAST_PROBABILITY = 1e-4
"""Classes less likely than this are all equally unlikely: a confident answer does not hang on how they rank."""
SMALLEST_PROBABILITY = 1e-9
"""What a softmax in float32 still tells apart."""
FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16})
MOST_DECIBELS = 120.0
GLANCE = 16
"""Feeds after which a variant may be given up, or taken as good."""
MOST_PLACES = 512
"""Answers of an example, up to which it is told whether all are equal: of a map's pixels some always differ."""
SILENT = ChannelNoise()


@dataclass(frozen=True)
class Fidelity:
    """Signal-to-noise of what varies in the outputs in dB (see `channel_noise`; the worst output counts) and share of equal answers.

    Answers are one float output (its largest element, or the side of one half of a probability) and whole-number outputs;
    None where there is none, as for a state, an embedding, a map or a detector's boxes and scores. Where all outputs are whole numbers,
    the share that differs is the noise.
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
    """How well the high scores of a detector or of a map agree: F1 (see score_channels)."""
    whole: float | None = None
    """Share of examples of which every answer is equal, where each has a few: of a word's letters those that are padding are seldom
    wrong, so that the share of all answers says little of words."""


class Reference:
    """The float model's answers to some feeds, against which variants are held.

    Probabilities are compared as the logits they came from: a softmax cannot hide errors of the classes that come into question.
    """

    def __init__(
        self, model: ir.Model, session: Session, feeds: Sequence[Mapping[str, Array]], *, least: float = LEAST_PROBABILITY
    ) -> None:
        self.feeds = list(feeds)
        self.least = least
        """Of probabilities that are told apart."""
        self.names = [str(value.name) for value in model.graph.outputs]
        self.answers = [self._only_known(session.run(feed)) for feed in self.feeds]
        self.lengths = varying_axes(self.answers)
        """Axes along which outputs differ in length between examples, and may in what is held against them."""
        self.roles = OutputRoles(model.graph.outputs, self.answers)
        found = [self.roles.found_in(each) for each in self.answers]
        self.order = sorted(range(len(self.feeds)), key=lambda place: -found[place])
        """Places of the feeds, those first in which most is found: where nothing is, noise does not show."""
        numbers = [n for n, a in (self.answers[0] if self.answers else {}).items() if a.dtype.kind == "f" and n not in self.roles.scores]
        plain = [n for n in numbers if not self.roles.is_share(n) and n not in self.roles.maps]
        self.varying = {n: varying_share([a[n] for a in self.answers if n in a]) for n in plain}
        """How much of an output's numbers tells examples apart."""
        self._signals: dict[tuple[int, str], Signal] = {}
        self._margins: dict[int, list[Margins]] = {}

    def compare(self, session: Session, first: int | None = None, told: Callable[[Fidelity], bool] | None = None) -> Fidelity:
        """Fidelity of a session on the `first` feeds that tell most, or on all; on the first `GLANCE` where those have `told` all."""
        held = _Held(self.varying)
        for turn, place in enumerate(self.order[:first]):
            feed, expected = self.feeds[place], self.answers[place]
            if turn == GLANCE and told is not None and told(held.fidelity(varies=True)):
                break
            got = as_long(self._only_known(session.run(feed)), expected, self.lengths)
            held.see(got, expected)
            for name, truth in expected.items():
                if truth.dtype.kind != "f":
                    held.same.append(_share_of_equal(truth, got[name]))
                elif not np.isfinite(got[name]).all() and not _as_infinite(truth, got[name]):
                    held.finite = False
                else:
                    self._hold(held, place, name, got)
                    if name == self.roles.answer and (equal := self._equal(name, truth, got[name])) is not None:
                        held.same.append(float(np.mean(equal)))
                        held.whole += _all_equal(equal)
        return held.fidelity(varies=held.varies or not held.truth_varies)

    def relative_noise_of_each(self, session: Session, first: int | None = None) -> Array:
        """Of each feed, or of the `first` that tell most, the noise relative to what varies between all of them, in the worst output."""
        each = self.noise_of_each(session, first)
        worst = np.zeros(len(each))
        for name in each[0]:
            found = ratio_of_each([noise.get(name, SILENT) for noise in each])
            worst = np.maximum(worst, np.array(found) / self.varying.get(name, 1.0))
        return worst

    def noise_of_each(self, session: Session, first: int | None = None) -> list[dict[str, ChannelNoise]]:
        """The noise that a session makes on each feed, by output of floats or part of one; broken where it is not finite.

        In the order of the feeds, or of the `first` that tell most in the order in which they do.
        """
        found = []
        for place in range(len(self.feeds)) if first is None else self.order[:first]:
            feed = self.feeds[place]
            held, got = _Held(self.varying), as_long(self._only_known(session.run(feed)), self.answers[place], self.lengths)
            for name in (n for n, truth in self.answers[place].items() if truth.dtype.kind == "f"):
                if np.isfinite(got[name]).all() or _as_infinite(self.answers[place][name], got[name]):
                    self._hold(held, place, name, got)
                else:
                    held.noise.setdefault(name, ChannelNoise()).broken = True
            found.append(held.noise)
        return found

    def _hold(self, held: "_Held", place: int, name: str, all_got: Mapping[str, Array]) -> None:
        """Hold one output of one feed against the truth."""
        scores, truth, got = self.roles.scores.get(name), self.answers[place][name], all_got[name]
        if scores is not None and truth.shape == got.shape:
            boxes = None if scores.boxes is None else (self.answers[place][scores.boxes], all_got[scores.boxes])
            self._hold_scores(held, name, truth, got, boxes)
            return
        if name in self.roles.beside and self.roles.beside[name] in self.roles.finds and truth.shape == got.shape:
            where = self.roles.scores[self.roles.beside[name]].finds(self.answers[place][self.roles.beside[name]])
            expected, found = (each.reshape(-1, each.shape[-1])[where] for each in (truth, got))
            held.add(name, expected, found)
            return
        if (read := self.roles.maps.get(name)) is not None and truth.shape == got.shape:
            held.add(name, read.read(truth, self.answers[place]), read.read(got, self.answers[place]))
            return
        shares = self.roles.is_share(name)
        expected, found = self._logits(name, truth), self._logits(name, got)
        if (place, name) not in self._signals:
            self._signals[place, name] = signal_of(expected)
        held.add(name, expected, found, self._signals[place, name], alike=shares, apart=shares and name == self.roles.answer)
        if name == self.roles.answer and truth.shape == got.shape and truth.ndim > 1 and truth.shape[self.roles.axes[name]] > 1:
            expected, found = (np.moveaxis(each, self.roles.axes[name], -1) for each in ((truth, got) if shares else (expected, found)))
            if place not in self._margins:
                self._margins[place] = margins_of(_logs(expected) if shares else expected)
            held.cost.add(self._margins[place], found, _logs if shares else np.asarray)

    def _hold_scores(self, held: "_Held", name: str, truth: Array, got: Array, boxes: tuple[Array, Array] | None) -> None:
        scores = self.roles.scores[name]
        held.add(f"{name} scores", scores.of(truth), scores.of(got), alike=True, apart=True)
        held.scores.add(scores.matched(truth, got, boxes))
        others, those = scores.others(truth), scores.others(got)
        if others.size:
            seen = scores.finds(truth) if name in self.roles.finds else np.ones(len(others), bool)
            held.add(name, others[seen], those[seen])

    def _equal(self, name: str, truth: Array, got: Array) -> Array | None:
        """Which answers of one feed are equal, if the output holds any."""
        if truth.shape != got.shape or not truth.ndim:
            return None
        axis = self.roles.axes[name]
        if truth.shape[axis] > 1:
            return np.asarray(truth.argmax(axis) == got.argmax(axis))
        return (truth > 0.5) == (got > 0.5) if self.roles.forms[name] == "Sigmoid" else None

    def _only_known(self, answers: Mapping[str, Array]) -> dict[str, Array]:
        """Numbers; those in float16 as float32, which holds their squares."""
        known = {name: np.asarray(answers[name]) for name in self.names}
        return {n: a.astype(np.float32) if a.dtype == np.float16 else a for n, a in known.items() if a.dtype.kind in "fiub"}

    def _logits(self, name: str, values: Array) -> Array:
        """As float32 or wider."""
        if self.roles.is_share(name):
            logs = np.log(np.maximum(values, self.least, dtype=np.promote_types(values.dtype, np.float32)))
            logs -= logs.mean(axis=self.roles.axes.get(name, -1), keepdims=True)
            return logs
        if self.roles.forms[name] == "Sigmoid" and name not in self.roles.gains:
            clipped = np.clip(values.astype(np.float64), 1e-7, 1 - 1e-7)
            odds: Array = np.log(clipped / (1 - clipped))
            return odds
        return values.astype(np.promote_types(values.dtype, np.float32), copy=False)


class _Held:
    """What is gathered while a variant is held against the truth."""

    def __init__(self, varying: Mapping[str, float]) -> None:
        self.varying = varying
        self.noise: dict[str, ChannelNoise] = {}
        self.apart: set[str] = set()
        """Of these something better than noise tells whether they are good."""
        self.cost = AnswerCost()
        self.scores = ScoreAgreement()
        self.same: list[float] = []
        self.whole: list[bool] = []
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
        ratios = {name: each.ratio() / self.varying.get(name, 1.0) for name, each in self.noise.items()}
        if not ratios and self.same:  # whole numbers only: what differs is all the noise there is
            ratios[""] = 1 - float(np.mean(self.same))
        worst = min(map(decibels, ratios.values()), default=MOST_DECIBELS)
        numbers = min((decibels(r) for name, r in ratios.items() if name not in self.apart), default=None)
        agreement = float(np.mean(self.same)) if self.same else None
        sqnr = worst if self.finite else -np.inf
        whole = float(np.mean(self.whole)) if self.whole else None
        return Fidelity(sqnr, agreement, self.finite, varies, numbers, self.cost.cost(), self.scores.value(), whole)


def _logs(values: Array) -> Array:
    """Logits of probabilities, those of hopeless classes as well."""
    logs: Array = np.log(np.maximum(values, SMALLEST_PROBABILITY, dtype=np.promote_types(values.dtype, np.float32)))
    return logs


def _all_equal(equal: Array) -> list[bool]:
    """Whether all answers of each example [examples, places, …] are, where it has a few."""
    if equal.ndim < 2 or not 1 < equal[0].size <= MOST_PLACES:
        return []
    return [bool(each.all()) for each in equal]


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
