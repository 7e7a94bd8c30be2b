"""How the channels of what matrix products read are divided, or which go apart, for the least error at the least cost.

Strengths are SmoothQuant's: a channel's divisor is its peak^strength / its strongest weight^(1 - strength). For each tensor all of
them, with more or fewer channels apart, are ranked by a formula; the best are computed. Input and weight rounding both count, each
layer's as much as shows at the outputs. Whatever is left alone costs nothing at run time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.affine import grid_for, quantize_weight
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.channels.divide import Division, matrix_of
from optkit.quantization.channels.output_noise import output_noise
from optkit.quantization.channels.pick_divisions import Option, pick, time_of_division, time_of_product
from optkit.quantization.integer_graph.insert_dynamic import can_be_dynamic

STRENGTHS = (None, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
APART = (1, 2, 4, 8)
"""How many channels to try apart; so few cost little more than one."""
EXAMPLES = 16
ROWS = 24
"""Rows of a tensor kept per example; ranges and peaks are those of all rows."""
FEEDS = 4
"""Examples on which it is seen what shows at the outputs."""
OUTPUTS = 256
"""Output channels of a weight that are looked at."""
USEFUL = 0.8
"""Share to which an error must fall for the division to be considered."""


@dataclass
class Seen:
    """One tensor: some rows of each example, and the least and largest value of each channel in each example."""

    rows: list[Array] = field(default_factory=list)
    low: list[Array] = field(default_factory=list)
    high: list[Array] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    """Rows there were."""


def find_smoothing(model: ir.Model, watcher: Watcher) -> dict[str, Division]:
    """Divisions that pay, by name of the tensor that matrix products read."""
    groups: dict[str, list[ir.Node]] = {}
    for node in model.graph:
        if can_be_dynamic(node):
            groups.setdefault(str(node.inputs[0].name), []).append(node)  # type: ignore[union-attr]
    if not groups:
        return {}
    seen = look(model, groups, watcher.spread(EXAMPLES))
    options: dict[str, list[Option]] = {}
    roundings: dict[str, float] = {}
    seconds = 0.0
    for done, name in enumerate(seen):
        weights = [matrix_of(n) for n in groups[name]]
        rows = float(np.mean(seen[name].lengths))
        seconds += sum(time_of_product(rows, w.shape) for w in weights)
        products = Products(seen[name], [_some_outputs(w) for w in weights])
        likely = likely_divisions(products)
        if likely:
            plain, roundings[name] = products.error(products.nothing), products.error(products.nothing, weights=False)
            options[name] = [Option(None, plain, 0.0)]
            for division in likely:
                error, time = products.error(division), time_of_division(division, rows, [w.shape for w in weights])
                if error < USEFUL * plain:
                    options[name].append(Option(division, error, time))
        watcher.progress("smoothing activations", done + 1, len(seen))
    return _that_pay(model, groups, {n: o for n, o in options.items() if len(o) > 1}, roundings, seconds, watcher)


def _that_pay(
    model: ir.Model,
    groups: dict[str, list[ir.Node]],
    options: dict[str, list[Option]],
    roundings: dict[str, float],
    seconds: float,
    watcher: Watcher,
) -> dict[str, Division]:
    if not options:
        return {}
    few = watcher.examples.spread(FEEDS)
    chosen = {name: groups[name] for name in options}
    heard = output_noise(model, chosen, few, threads=watcher.threads, progress=watcher.progress)
    echoes = {name: heard[name] / max(roundings[name], 1e-30) for name in options}
    return pick(options, echoes, seconds)


def likely_divisions(products: "Products") -> list[Division]:
    """The best way to divide, and the best with channels apart, as far as a formula tells."""
    peaks = products.peaks
    if not np.isfinite(peaks).all() or not peaks.any():
        return []
    counts = [(0,), tuple(c for c in APART if 4 * c <= len(peaks))]
    ways = [[d for c in several for d in divisions_of(peaks, products.weights, c)] for several in counts]
    return [min(each, key=products.expected_error) for each in ways if each]


def divisions_of(peaks: Array, weights: Sequence[Array], count: int) -> list[Division]:
    strongest = np.max([np.abs(w).max(axis=1) for w in weights], axis=0)
    strongest = np.maximum(strongest, 1e-5 * strongest.max() + 1e-12)
    apart = np.sort(np.argsort(-peaks, kind="stable")[:count])
    rest = np.delete(np.arange(len(peaks)), apart)
    held = np.maximum(peaks, 1e-5 * peaks[rest].max() + 1e-12)
    made = []
    for strength in STRENGTHS:
        if strength is None and not count:
            continue
        divisor = np.ones_like(held) if strength is None else held**strength / strongest ** (1 - strength)
        divisor = divisor / np.exp(np.log(divisor[rest]).mean())
        divisor[apart] = 1
        made.append(Division(divisor.astype(np.float32), apart))
    return made


class Products:
    """What some rows give with some weights [channels, outputs], and how far off they are when both are rounded."""

    def __init__(self, seen: Seen, weights: Sequence[Array]) -> None:
        self.seen, self.weights = seen, weights
        self.rows = np.concatenate(seen.rows)
        self.truth = [self.rows @ w for w in weights]
        self.energies = [max(float((t**2).sum()), 1e-30) for t in self.truth]
        self.squares = [np.square(w, dtype=np.float64).sum(axis=1) for w in weights]
        self.power = np.square(self.rows, dtype=np.float64).sum(axis=0)
        self.counts = np.array([len(r) for r in seen.rows])
        self.peaks = np.maximum(np.max(seen.high, axis=0), -np.min(seen.low, axis=0))
        self.nothing = Division(np.ones_like(self.peaks))

    def expected_error(self, division: Division) -> float:
        """Of uniform rounding: step² / 12 for every number; relative to the products' energy."""
        factor = division.factor()
        low, high = self._ranges(factor)
        noise = float((((high - low) / 255) ** 2 / 12 * self.counts).sum())
        kept = (division.divisor.astype(np.float64) ** 2) * (factor > 0)
        power = float((self.power * factor.astype(np.float64) ** 2).sum())
        total = 0.0
        for weight, squares, energy in zip(self.weights, self.squares, self.energies, strict=True):
            steps = np.abs(division.weight(weight)).max(axis=0).astype(np.float64) / 127
            total += (noise * float(squares @ kept) + power * float((steps**2).sum()) / 12) / energy
        return total

    def error(self, division: Division, *, weights: bool = True) -> float:
        """Measured: activations rounded per example, and weights per output channel."""
        factor = division.factor()
        low, high = self._ranges(factor)
        grids = [grid_for(float(a), float(b)) for a, b in zip(low, high, strict=True)]
        rounded = np.concatenate([g.round_trip(r * factor) for g, r in zip(grids, self.seen.rows, strict=True)])
        total = 0.0
        for weight, exact, energy in zip(self.weights, self.truth, self.energies, strict=True):
            divided = division.weight(weight)
            if weights:
                integers, scale = quantize_weight(divided, 1)
                divided = integers.astype(np.float32) * scale
            found = rounded @ divided + self.rows[:, division.apart] @ weight[division.apart]
            total += float(((found - exact) ** 2).sum()) / energy
        return total

    def _ranges(self, factor: Array) -> tuple[Array, Array]:
        """Of each example."""
        low, high = np.array(self.seen.low) * factor, np.array(self.seen.high) * factor
        return np.minimum(low.min(axis=1), 0), np.maximum(high.max(axis=1), 0)


def look(model: ir.Model, names: Iterable[str], watcher: Watcher) -> dict[str, Seen]:
    seen: dict[str, Seen] = {}
    for values in watcher.watch(model, names):
        for name, value in values.items():
            if value.ndim < 2 or not value.size:
                continue
            flat = value.reshape(-1, value.shape[-1])
            places = np.linspace(0, len(flat) - 1, min(ROWS, len(flat))).round().astype(int)
            held = seen.setdefault(name, Seen())
            held.rows.append(flat[places])
            held.low.append(flat.min(axis=0))
            held.high.append(flat.max(axis=0))
            held.lengths.append(len(flat))
    return seen


def _some_outputs(weight: Array) -> Array:
    count = weight.shape[1]
    return weight if count <= OUTPUTS else weight[:, np.linspace(0, count - 1, OUTPUTS).round().astype(int)]
