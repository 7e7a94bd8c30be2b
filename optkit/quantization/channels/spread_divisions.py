"""Where the time that dividing outlier channels takes is best spent: some tensors need none of it, others gain by many channels apart.

The default decides by formulas how each tensor is divided. Here what each way leaves of noise at the outputs is measured, and the ways are
picked anew that leave the least for the same estimated time, or a little more: a race decides how much it may be (polish.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from optkit.progress import Progress
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.channels.divide import Division, matrix_of
from optkit.quantization.channels.measured_divisions import EXAMPLES, RoundedOne, with_weights
from optkit.quantization.channels.pick_divisions import REST, Option, pick_within, time_of_division, time_of_product
from optkit.quantization.channels.smooth import Products, Seen, divisions_of, look

FEEDS = 8
"""On which outputs are compared."""
APART = (8, 16, 32, 64)
FIRST_APART = 16
"""All strengths are tried with so many channels apart, for the other counts those that were best of them."""
STRENGTHS_KEPT = 2
MATTERS = 0.01
"""Share of the noise of all tensors that one must have for more than leaving it alone to be tried."""
MOST_RUNS = 400
"""Over the examples."""


@dataclass(frozen=True)
class Spread:
    """What can be done with each tensor, as measured."""

    options: Mapping[str, Sequence[Option]]
    held: float
    """Estimated seconds that the divisions held take."""
    whole: float
    """Estimated seconds of the model."""

    def within(self, share: float) -> dict[str, Division]:
        """The divisions that leave the least noise and take so much of the model's time more than those held."""
        picked = pick_within(self.options, self.held + share * self.whole)
        return {name: option.division for name, option in picked.items() if option.division is not None}


def spread_divisions(
    original: Path, model: ir.Model, nodes: Sequence[ir.Node], held: Mapping[str, Division], watcher: Watcher
) -> Spread | None:
    """What dividing what `nodes` read, dynamic matrix products of the main graph, would take and give; `held` is how it is divided now.

    None where there is nothing to choose from.
    """
    groups: dict[str, list[ir.Node]] = {}
    for node in nodes:
        groups.setdefault(str(node.inputs[0].name), []).append(node)  # type: ignore[union-attr]
    seen = look(model, groups, watcher.spread(EXAMPLES)) if groups else {}
    groups = {name: each for name, each in groups.items() if name in seen}
    if not groups:
        return None
    rounded = RoundedOne(original, model, groups, watcher.examples.spread(FEEDS), watcher.threads)
    return _measured({name: _Tensor(name, seen[name], readers, rounded) for name, readers in groups.items()}, held, watcher.progress)


class _Tensor:
    """One tensor and the products that read it."""

    def __init__(self, name: str, seen: Seen, readers: Sequence[ir.Node], rounded: RoundedOne) -> None:
        self.name, self.seen, self.readers, self.rounded = name, seen, readers, rounded
        self.rows = float(np.mean(seen.lengths))
        self.shapes = [matrix_of(node).shape for node in readers]
        self.seconds = sum(time_of_product(self.rows, shape) for shape in self.shapes)

    def products(self) -> Products:
        """Made when they are needed: those of all tensors fill memory."""
        return Products(self.seen, [matrix_of(node) for node in self.readers])

    def option(self, products: Products, division: Division | None) -> Option:
        way = division or products.nothing
        noise = self.rounded.noise(self.name, way) * with_weights(products, way)
        return Option(division, noise, 0.0 if division is None else time_of_division(division, self.rows, self.shapes))

    def tried(self, products: Products, division: Division | None, more: bool) -> list[Option]:
        """What is done with it now, leaving it alone, and with `more` every likely way to divide it."""
        found = [self.option(products, division)]
        if division is not None:
            found.append(self.option(products, None))
        if not more or not np.isfinite(products.peaks).all() or not products.peaks.any():
            return found
        ways = {count: divisions_of(products.peaks, products.weights, count) for count in (0, *APART) if 4 * count <= len(products.peaks)}
        found += [self.option(products, way) for way in ways.pop(0)]
        if not ways:
            return found
        first = min(ways, key=lambda count: abs(count - FIRST_APART))
        first_ways = [self.option(products, way) for way in ways.pop(first)]
        best = np.argsort([option.error for option in first_ways], kind="stable")[:STRENGTHS_KEPT]
        return found + first_ways + [self.option(products, each[place]) for each in ways.values() for place in best]


def _measured(tensors: Mapping[str, _Tensor], held: Mapping[str, Division], progress: Progress) -> Spread:
    now = {name: tensor.option(tensor.products(), held.get(name)) for name, tensor in tensors.items()}
    total = sum(option.error for option in now.values())
    options: dict[str, Sequence[Option]] = {}
    runs = 0
    for name in sorted(tensors, key=lambda name: -now[name].error):
        options[name] = tensors[name].tried(
            tensors[name].products(), held.get(name), now[name].error > MATTERS * total and runs < MOST_RUNS
        )
        runs += len(options[name])
        progress("weighing divisions", len(options), len(tensors))
    before = sum(option.seconds for option in now.values())
    return Spread(options, before, REST * sum(tensor.seconds for tensor in tensors.values()))
