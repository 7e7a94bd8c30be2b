"""How well the ranges in a quantized model fit some examples: what is clipped, and how much error other ranges would spare."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf, log10, sqrt

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.graphs import all_graphs
from optkit.quantization.histogram import Histogram
from optkit.quantization.ranges.mse import Mse

SUMS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Sum", "Sub", "BatchNormalization"})
"""Operators whose values are below 0 as often as above."""
BLOCKS = 16
"""Parts of the examples, of which each is left out in turn to see how much the error depends on chance."""


@dataclass(frozen=True)
class Ranged:
    """An activation that a model quantizes with a fixed scale."""

    name: str
    scale: float
    least: int
    """Integers counted from the zero point."""
    most: int
    rectifies: bool = False
    """Whether values below 0 are meant to be cut: the range of a sum begins at 0, as where a ReLU was merged into it."""

    @property
    def low(self) -> float:
        return self.scale * self.least

    @property
    def high(self) -> float:
        return self.scale * self.most

    @property
    def symmetric(self) -> bool:
        """Whether zero lies in the middle, so that new ranges would too."""
        return abs(self.least + self.most) <= 1

    def clipped(self, values: Array) -> int:
        """How many values lie beyond the range by more than rounding."""
        half = self.scale / 2
        below = 0 if self.rectifies else np.count_nonzero(values < self.low - half)
        return int(below + np.count_nonzero(values > self.high + half))

    def error(self, values: Array, counts: Array) -> float:
        """Sum of squares of what quantizing takes from or adds to the values."""
        back = np.clip(np.rint(values / self.scale), self.least, self.most) * self.scale
        return float((counts * (values - back) ** 2).sum())

    def fitted(self, low: float, high: float) -> "Ranged":
        """As many integers over another range."""
        low, high = min(low, 0.0), max(high, 0.0)
        levels = self.most - self.least
        if self.symmetric:
            peak = max(-low, high)
            scale = peak / min(-self.least, self.most)
            return replace(self, scale=scale) if scale else self
        scale = (high - low) / levels
        least = round(low / scale) if scale else 0
        return replace(self, scale=scale, least=least, most=least + levels) if scale else self


@dataclass(frozen=True)
class Fit:
    """How one tensor's range fits the examples."""

    low: float
    """Least value seen."""
    high: float
    clipped: float
    """Share of the values beyond the range."""
    loss: float
    """dB: the squared error of quantizing, relative to that of the best range for these examples; 0 where none would be better."""
    without: tuple[float, ...]
    """The loss without each part of the examples in turn, from which `jackknife` sees how much it depends on chance."""


def ranged_activations(model: ir.Model) -> list[Ranged]:
    """What QuantizeLinear gives a fixed per-tensor range, in branches and bodies too; weights are constants and do not count.

    Values of one name in two branches are left out, as nothing tells them apart.
    """
    found: dict[str, Ranged] = {}
    places = Counter(str(v.name) for g in all_graphs(model) for v in {n.inputs[0] for n in g if n.op_type == "QuantizeLinear"} if v)
    for node in (n for g in all_graphs(model) for n in g):
        if node.op_type != "QuantizeLinear" or node.inputs[0] is None or ir.convenience.get_const_tensor(node.inputs[0]) is not None:
            continue
        scale, zero = (_constant(node.inputs[i]) if len(node.inputs) > i else None for i in (1, 2))
        if scale is None or scale.size != 1 or float(scale.ravel()[0]) <= 0:
            continue
        bounds = _integers(node, zero)
        name = str(node.inputs[0].name)
        if bounds is not None and name not in found and places[name] == 1:
            point = 0 if zero is None else int(zero.ravel()[0])
            source = node.inputs[0].producer()
            rectifies = bounds[0] == point and source is not None and source.op_type in SUMS
            found[name] = Ranged(name, float(scale.ravel()[0]), bounds[0] - point, bounds[1] - point, rectifies)
    return list(found.values())


def fits(
    model: ir.Model, tensors: Sequence[Ranged], watcher: Watcher, interrupted: Callable[[float], None] | None = None
) -> dict[str, Fit]:
    """How each range fits the values that the quantized model itself computes for the examples.

    Ctrl-C ends it with the examples by then, where somebody wants to hear of it by `interrupted`, which is told their share.
    """
    watch = watcher.watch(model, [each.name for each in tensors])
    by_name = {each.name: each for each in tensors}
    seen = {each.name: _Seen(each) for each in tensors}
    each_pass = max(1, len(watch) // max(1, len(watch.groups)))
    done = 0
    try:
        for done, values in enumerate(watch):
            block = done % each_pass * BLOCKS // each_pass
            for name, value in values.items():
                if name in by_name and value.size:
                    seen[name].add(np.asarray(value, np.float32), block)
            watcher.progress("looking at ranges", done + 1, len(watch))
    except KeyboardInterrupt:
        if interrupted is None:
            raise
        interrupted(min(1.0, done / each_pass))
    return {name: found.fit() for name, found in seen.items() if found.total}


class _Seen:
    """The values of one tensor, in a histogram for each part of the examples."""

    def __init__(self, tensor: Ranged) -> None:
        self.tensor = tensor
        self.parts: dict[int, Histogram] = {}
        self.clipped = 0
        self.total = 0

    def add(self, values: Array, block: int) -> None:
        flat = np.maximum(values.ravel(), 0) if self.tensor.rectifies else values.ravel()
        self.parts.setdefault(block, Histogram()).add(flat)
        self.clipped += self.tensor.clipped(flat)
        self.total += flat.size

    def fit(self) -> Fit:
        low, high = min(part.low for part in self.parts.values()), max(part.high for part in self.parts.values())
        centres = [part.centres() for part in self.parts.values()]
        values, where = np.unique(np.concatenate([v for v, _ in centres]), return_inverse=True)  # parts share most of their bins
        counts = np.bincount(where, np.concatenate([c for _, c in centres]))
        best = self.tensor.fitted(*Mse().range_of(_Merged(low, high, values, counts)))
        errors = np.array([[self.tensor.error(*each), best.error(*each)] for each in centres])
        whole = errors.sum(axis=0)
        without = tuple(_decibels(*(whole - part).tolist()) for part in errors)
        return Fit(low, high, self.clipped / self.total, _decibels(*whole.tolist()), without)


class _Merged(Histogram):
    """What is seen in several histograms."""

    def __init__(self, low: float, high: float, values: Array, counts: Array) -> None:
        super().__init__()
        self.low, self.high = low, high
        self._centres = values, counts

    def centres(self) -> tuple[Array, Array]:
        return self._centres


def jackknife(without: Array) -> float:
    """The standard error of a number, from the numbers that are left without each part in turn; infinite with fewer than two."""
    if len(without) < 2:
        return inf
    return sqrt(float(((without - without.mean()) ** 2).sum()) * (len(without) - 1) / len(without))


def _decibels(ours: float, theirs: float) -> float:
    """Never below 0: where the model's range is better than the best that was searched, nothing is lost."""
    return max(0.0, 10 * log10(ours / theirs)) if ours > 0 and theirs > 0 else 0.0


def _constant(value: ir.Value | None) -> Array | None:
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()


def _integers(node: ir.Node, zero: Array | None) -> tuple[int, int] | None:
    """The least and the greatest integer of the type quantized to; None for types that are no integers."""
    if zero is None:
        given = node.attributes.get("output_dtype")
        kind = ir.DataType(given.as_int()) if given is not None and given.as_int() else ir.DataType.UINT8
    else:
        tensor = ir.convenience.get_const_tensor(node.inputs[2])  # type: ignore[arg-type]  # there is a zero point
        assert tensor is not None
        kind = tensor.dtype
    bits = {"INT4": 4, "UINT4": 4, "INT8": 8, "UINT8": 8, "INT16": 16, "UINT16": 16}.get(kind.name)
    if bits is None:
        return None
    return (0, 2**bits - 1) if kind.name.startswith("U") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
