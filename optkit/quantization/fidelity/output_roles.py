"""What the outputs of a model are, as far as its graph and its own answers to some feeds tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.fidelity.answer_cost import margins_of
from optkit.quantization.fidelity.boxes import reading_of
from optkit.quantization.fidelity.output_forms import IMAGE, LIST, adds_up, are_amounts, class_axis, form_of, holds_scores, is_many_scores
from optkit.quantization.fidelity.score_channels import FEWEST, HIGH, ScoreChannels, are_gains, background_of, find_scores, only_scores

BOX = 4
"""Numbers."""
LEAST_SURE = 0.01
"""By how much more likely the first class must be than the second, on average, by the model's own logits."""


FEW_PLACES = 0.05
"""Share of a map in which something is found at most, where its scores mark what to read of others: a mask covers more."""


@dataclass(frozen=True)
class ScoreMap:
    """A map of scores, [examples, scores, height, width] or with the scores along the last axis."""

    name: str
    axis: int

    def finds(self, answers: Mapping[str, Array]) -> Array:
        """At which places a score is high."""
        return np.asarray((answers[self.name] > HIGH).any(axis=self.axis))

    def covers(self, values: Array, scores: Array) -> bool:
        """Whether another output has numbers for the same places."""
        return values.ndim == IMAGE and np.delete(values.shape, self.axis).tolist() == np.delete(scores.shape, self.axis).tolist()

    def read(self, values: Array, answers: Mapping[str, Array]) -> Array:
        """The numbers of another output that are read: [places, numbers]."""
        return np.asarray(np.moveaxis(values, self.axis, -1)[self.finds(answers)])


class OutputRoles:
    """Which outputs are probabilities, scores with or without boxes, gains, answers, or plain numbers."""

    def __init__(self, outputs: Sequence[ir.Value], answers: Sequence[Mapping[str, Array]]) -> None:
        """`answers` are numbers, an array of each output for every feed, the first axis being examples."""
        self._answers = answers
        self.forms = {str(v.name): form_of(v) for v in outputs}
        """The operator that shaped each."""
        self.shares = {name for name in self.forms if all(adds_up(a[name]) for a in answers if name in a)}
        """Those that are probabilities whatever operators made them."""
        self.scores: dict[str, ScoreChannels] = {}
        """Those in which scores lie beside other numbers, as a detector's, or for many places."""
        self.gains: set[str] = set()
        """Those between 0 and 1 that are no probabilities: they are held as they are."""
        self.axes: dict[str, int] = {}
        """Those whose largest number along an axis, counted from the end, is an answer."""
        for value in outputs:
            self._look_at(value, [a[str(value.name)] for a in answers if str(value.name) in a])
        self._look_for_boxes()
        self.beside = {s.boxes: n for n, s in self.scores.items() if s.boxes is not None}
        """Outputs of boxes → those of their scores."""
        self.finds = {n for n, s in self.scores.items() if sum(int(s.finds(a[n]).sum()) for a in answers) >= FEWEST}
        """Of those with scores, outputs of which enough was found to judge the other numbers there alone."""
        self.maps = self._maps()
        """Those that hold numbers for every place of a picture, and the map of scores that says at which places somebody reads them."""
        self.answer = self._answer()
        """The output that says what the model decided."""

    def is_share(self, name: str) -> bool:
        """Whether an output holds probabilities of classes that exclude each other."""
        return self.forms[name] == "Softmax" or name in self.shares

    def found_in(self, answers: Mapping[str, Array]) -> int:
        """At how many places there is a high score."""
        return sum(int(s.finds(answers[n]).sum()) for n, s in self.scores.items() if n in answers)

    def _look_at(self, value: ir.Value, answers: Sequence[Array]) -> None:
        name = str(value.name)
        if len(answers) < len(self._answers) or not answers or answers[0].dtype.kind != "f":
            return
        rank = answers[0].ndim
        many = is_many_scores(value, answers[0])
        if many and are_gains(answers):
            self.gains.add(name)
            return
        found = find_scores(answers) if holds_scores(value) else only_scores(answers) if many else None
        if found is not None:
            self.scores[name] = found
        elif not (many and rank < LIST) and (axis := class_axis(value, rank)) is not None:
            self.axes[name] = axis

    def _look_for_boxes(self) -> None:
        """Places that have scores or classes in one output may have a box each in another; of classes, the background is no find."""
        for name in [*self.scores, *(n for n in self.axes if self.is_share(n))]:
            boxes = [n for n in self.axes if n != name and self._places(n) == self._places(name) and self._answers[0][n].shape[-1] == BOX]
            if not boxes or len(self._places(name)) < 2:
                continue
            answers, scores = [a[name] for a in self._answers], self.scores.get(name)
            if scores is None and (background := background_of(answers)) is not None:
                scores = only_scores(answers, background)
            if scores is not None:
                found = [a[boxes[0]].reshape(-1, BOX)[scores.finds(a[name])] for a in self._answers]
                self.scores[name] = replace(scores, boxes=boxes[0], reading=reading_of(np.concatenate(found)))
                self.axes.pop(name, None)

    def _maps(self) -> dict[str, ScoreMap]:
        """As of detectors that mark centres: sizes, offsets and points of a face are maps too, read where a centre is, at few places."""
        found: dict[str, ScoreMap] = {}
        for scores in (n for n in self.finds if self._answers[0][n].ndim == IMAGE and n not in self.beside.values()):
            for axis in (1, IMAGE - 1):
                here = ScoreMap(scores, axis)
                if np.mean([here.finds(a).mean() for a in self._answers]) > FEW_PLACES:
                    continue
                for name, answer in self._answers[0].items():
                    if name not in self.scores and answer.dtype.kind == "f" and here.covers(answer, self._answers[0][scores]):
                        found.setdefault(name, here)
        return found

    def _answer(self) -> str | None:
        """The first output of floats if it may hold answers, or the probabilities beside it for the same places: boxes may come first."""
        first = next((n for n, a in (self._answers[0] if self._answers else {}).items() if a.dtype.kind == "f"), None)
        if first not in self.axes or first in self.beside:
            return None
        shares = (n for n in self.axes if self.is_share(n) and self._places(n) == self._places(first))
        name = next(shares, first) if len(self._places(first)) > 1 else first
        return name if self.is_share(name) or self._prefers(name) else None

    def _prefers(self, name: str) -> bool:
        """Whether the model is ever sure of one class: the largest number of a piece of sound or of features is no answer."""
        answers, axis = [a[name] for a in self._answers], self.axes[name]
        if any(a.ndim < 2 or a.shape[axis] < 2 or not a.size for a in answers):
            return True
        if are_amounts(answers):
            return False
        worth = np.concatenate([m.worth for a in answers for m in margins_of(np.moveaxis(a, axis, -1))])
        return not worth.any() or float(worth.mean()) >= LEAST_SURE

    def _places(self, name: str) -> tuple[int, ...]:
        shape: tuple[int, ...] = self._answers[0][name].shape
        return shape[:-1]
