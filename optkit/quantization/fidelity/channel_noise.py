"""Noise against what varies: an error is held against how much its channel differs between examples and positions.

A constant part of an output carries no information, and must not make an error look small: embeddings share a large mean. Nor must a
part with large numbers hide one with small numbers: a detector's boxes reach 640, its scores 1. So channels of like size are judged
together, and the worst group counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from optkit.arrays import Array

DEAD = 1e-6
"""Standard deviation over the liveliest channel's, below which a channel says nothing of its own."""
STILL = 0.03
"""Standard deviation over the mean and over the liveliest channel's, below which a channel is no group of its own: the one class of a
detector that knows no other always says the same.
"""
SMALL, LARGE = 1e-12, 1e15
"""Root mean squares of values; float32 ends at 1e-38 and 3e38, and errors are squared."""
SMALLEST_GROUP = 0.02
"""Share of the channels that a group must have to be judged apart: a detector's four box numbers among 84 are a group."""


ALL = -1
"""In place of an axis: all numbers are one channel, as where each example has one number without an axis of its own."""
MAP = 4
"""Axes of an output from which places are told apart beside channels."""
SIDE = 8
"""Places along each of two axes at least: the states of layers side by side are no map."""
FEWEST = 8
"""Examples from which that is done."""
LEAST_VARYING = 0.05
"""What differs less is noise of another kind, or these examples are too much alike to tell."""


class ChannelNoise:
    """Sums over examples for one output, by channel: along the second axis and along the last, whichever tells channels apart better."""

    def __init__(self, *, alike: bool = False) -> None:
        self.alike = alike
        """All channels are of one kind, whatever their size, such as the classes of a softmax."""
        self.sums: dict[int, Array] = {}
        """Axis from the start → [4, channels]: count, sum, sum of squares, squared error."""
        self.error = 0.0
        self.energy = 0.0
        self.examples = 0
        self.broken = False

    def add(self, truth: Array, got: Array, seen: "Signal | None" = None) -> None:
        """Fold in one example: float arrays of one shape; where the truth is not finite nothing is compared.

        `seen` is what `signal_of` says of this truth, where that is known already.
        """
        if truth.shape != got.shape:
            self.broken = True
            return
        seen = seen if seen is not None else signal_of(truth)
        wrong = np.subtract(truth, got, out=np.zeros_like(truth), where=np.isfinite(truth)) if not seen.finite else np.asarray(truth - got)
        squared = np.square(wrong, out=wrong) if seen.ordinary else np.square(wrong, dtype=np.float64)
        self.energy += seen.energy
        self.error += float(squared.sum(dtype=np.float64))
        self.examples += 1
        for axis, sums in seen.sums.items():
            found = np.concatenate([sums, _by_channel(squared, axis)[None]])
            if self.examples == 1:
                self.sums[axis] = found
            elif axis in self.sums and self.sums[axis].shape == found.shape:
                self.sums[axis] += found
            else:
                self.sums.pop(axis, None)  # its length differs between examples, so it is no axis of channels

    def ratio(self) -> float:
        """Noise energy over the energy that varies, of the worst group of channels; over all energy where nothing varies."""
        if self.broken:
            return np.inf
        best: tuple[float, float] | None = None
        for count, total, squares, wrong in self.sums.values():
            varies = squares - total**2 / np.maximum(count, 1)
            sizes = np.sqrt(np.maximum(varies, 0) / np.maximum(count, 1))
            live = sizes > DEAD * sizes.max(initial=0)
            if not live.any() or sizes.max() <= 0 or count.max() < 2:
                continue
            means = np.abs(total) / np.maximum(count, 1)
            apart = live & ((sizes >= STILL * means) | (sizes >= STILL * sizes.max()))
            scale = np.log10(sizes[live])
            spread = float(scale.std())
            if best is None or spread > best[0]:
                overall = float(wrong.sum() / varies[live].sum())
                groups = 0.0 if self.alike else _worst_group(np.log10(sizes[apart]), varies[apart], wrong[apart])
                best = spread, max(overall, groups)
        if best is not None:
            return best[1]
        return self.error / self.energy if self.energy else (0.0 if not self.error else np.inf)


def ratio_of_each(parts: Sequence[ChannelNoise]) -> list[float]:
    """Of the noise of each of some examples, folded in apart, what `ratio` would be if all examples were as noisy."""
    kept = {axis for axis in parts[0].sums if all(axis in p.sums and p.sums[axis].shape == parts[0].sums[axis].shape for p in parts)}
    signal = {axis: np.sum([p.sums[axis][:3] for p in parts], axis=0) for axis in kept}
    found = []
    for part in parts:
        as_all = ChannelNoise(alike=part.alike)
        as_all.sums = {axis: np.concatenate([signal[axis], len(parts) * part.sums[axis][3:]]) for axis in kept}
        as_all.error, as_all.energy = len(parts) * part.error, sum(p.energy for p in parts)
        as_all.broken = part.broken
        found.append(as_all.ratio())
    return found


@dataclass(frozen=True)
class Signal:
    """What is needed of a truth whatever is held against it."""

    finite: bool
    ordinary: bool
    """Whether squares of errors, down to a millionth of the values, are numbers in float32: then that is exact enough, and faster."""
    energy: float
    sums: Mapping[int, Array]
    """Axis from the start → [3, channels]: count, sum, sum of squares."""


def signal_of(truth: Array) -> Signal:
    known = np.isfinite(truth)
    right = np.where(known, truth, 0).astype(np.float64)
    squares = np.square(right)
    axes = {1, truth.ndim - 1} if truth.ndim > 1 else {0, ALL} if truth.ndim else {ALL}
    sums = {a: np.stack([_by_channel(each, a) for each in (known, right, squares)]) for a in axes}
    typical = float(np.sqrt(squares.mean())) if squares.size else 0.0
    return Signal(bool(known.all()), SMALL < typical < LARGE, float(squares.sum()), sums)


def varying_share(answers: Sequence[Array]) -> float:
    """Of the energy that varies within the channels of a map, the share that differs between examples at the same place.

    Where the same things lie at about the same places in all of them, such as the marks of a face, a map of where they are looks alike
    for all, and what it says is in how it differs. 1 for what is no map, or has no fixed shape.
    """
    first = answers[0] if answers else np.zeros(0)
    if (
        first.ndim < MAP
        or sum(side >= SIDE for side in first.shape) < 2
        or len(answers) < FEWEST
        or any(a.shape != first.shape or not np.isfinite(a).all() for a in answers)
    ):
        return 1.0
    total, squares = np.zeros(first.shape), np.zeros(first.shape)
    for each in answers:
        total += each
        squares += np.square(each, dtype=np.float64)
    count = len(answers)
    at_places = float((squares - total**2 / count).sum()) * count / (count - 1)
    sums = [(total.sum(axis=_others(first, axis)), first.shape[axis]) for axis in (1, first.ndim - 1)]
    within = min(float(squares.sum() - (of**2).sum() * channels / (count * first.size)) for of, channels in sums)
    return float(np.clip(at_places / within, LEAST_VARYING, 1)) if within > 0 and at_places > 0 else 1.0


def _by_channel(values: Array, axis: int) -> Array:
    return np.atleast_1d(values.sum(axis=None if axis == ALL else _others(values, axis), dtype=np.float64))


def _others(values: Array, axis: int) -> tuple[int, ...]:
    return tuple(a for a in range(values.ndim) if a != axis)


def _worst_group(scale: Array, varies: Array, wrong: Array) -> float:
    """Channels within a power of ten of each other form a group."""
    groups = np.trunc(scale - scale.max()).astype(int)
    worst = 0.0
    for group in np.unique(groups):
        members = groups == group
        if members.sum() >= SMALLEST_GROUP * len(groups):
            worst = max(worst, float(wrong[members].sum() / varies[members].sum()))
    return worst
