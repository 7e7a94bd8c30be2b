"""Channels out of an ONNX model: found on its graph, chosen by what examples show, the rest solved again. No PyTorch, no training."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from optkit.arrays import Array
from optkit.errors import NothingPaid, UsageError
from optkit.pruning.graph.allocate import Competitor, Saving, allocate, removed_units
from optkit.pruning.graph.cut_out import cut_out
from optkit.pruning.graph.groups import FLOATS, find_groups
from optkit.pruning.graph.refit import Refitted, refit
from optkit.pruning.graph.sizes import count_parameters, macs_by_node, observed_shapes, one_feed, steady_sizes
from optkit.pruning.graph.weigh import Limits, find_competitors, find_orders, find_readers
from optkit.quantization.calibration.watched import open_watched
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.fidelity.reference import Reference
from optkit.quantization.graphs import all_graphs, constant_tensor

WORK = 1e12
"""Multiply-accumulates that running examples through the model may take while weights are solved again: about a minute of one core."""
LEARNED = 5e10
"""Those of one run over the examples; large models learn from fewer."""
PROBED = 4e9
"""Those of trying one family's removal out."""
LAYERS = frozenset({"Conv", "Gemm", "MatMul", "ConvTranspose"})
MOST, FEWEST = 256, 32
"""Examples that are learned from; there may be less."""

Measure = Literal["channels", "macs", "parameters"]


@dataclass(frozen=True)
class Wishes:
    """What is asked for."""

    ratio: float
    """The share of `measure` that goes."""
    measure: Measure = "channels"
    scope: Literal["global", "layer"] = "global"
    """`layer` takes the same share of channels everywhere."""
    importance: Literal["least_squares", "magnitude"] = "least_squares"
    limits: Limits = field(default_factory=Limits)
    exclude: tuple[str, ...] = ()
    """Patterns of layers whose output channels stay."""
    refit: bool = True


@dataclass(frozen=True)
class Size:
    """Of a model, for one example."""

    parameters: int
    macs: int


class Pruner:
    """Everything that is worked out once for a model; `prune` then makes models of it for any ratio.

    `model` is as `optkit.quantization.float_graph.prepare` leaves it. Raises NothingPaid where nothing can go.
    """

    def __init__(self, model: ir.Model, watcher: Watcher, reference: Reference, wishes: Wishes) -> None:
        ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(model)
        self.model, self.watcher, self.reference, self.wishes = model, watcher, reference, wishes
        self.feed = one_feed(model, watcher.examples)
        self.size = self._size(model)
        self.watcher = watcher.spread(int(np.clip(LEARNED / max(self.size.macs, 1), FEWEST, MOST)))
        self.groups = find_groups(model, wishes.exclude, steady_sizes(model, watcher.examples, watcher.threads))
        if not self.groups.families:
            raise nothing_prunable(model, wishes.exclude)
        self.competitors = self._compete()
        if all(len(c.steps) < 2 for c in self.competitors):
            widest = max(len(f.units) * f.positions for f in self.groups.families)
            kept = f"multiples of {wishes.limits.round_to} channels stay"
            what = f"its layers are too narrow: {kept}, and the widest that may shrink has {widest}"
            raise NothingPaid(what, hint="set a smaller round_to")

    def _compete(self) -> list[Competitor]:
        wishes, threads, progress = self.wishes, self.watcher.threads, self.watcher.progress
        readers = {}
        if wishes.importance == "least_squares":
            readers = find_readers(self.model, self.groups, self.watcher)
        orders = find_orders(self.model, self.groups, readers, progress=progress)
        feeds = int(np.clip(PROBED / max(self.size.macs, 1), 2, 16))
        return find_competitors(
            self.model, self.groups, orders, readers, self.reference, wishes.limits, feeds=feeds, threads=threads, progress=progress
        )

    def choose(self, ratio: float) -> Array:
        """The units to remove. Raises UsageError where so much cannot go."""
        if self.wishes.scope == "layer" and self.wishes.measure == "channels":
            return self._same_share(ratio)
        saving, total = self._saving()
        fixed = total - saving.left([0] * len(self.competitors))
        gone = allocate(self.competitors, saving, lambda gone: fixed + saving.left(gone) <= (1 - ratio) * total)
        if gone is None:
            most = self.most()
            what = f"a ratio of {ratio:g} of the {self.wishes.measure} is more than may go: {int(most * 100) / 100:g} at most"
            raise UsageError(what, hint=f"ask for less, or for a smaller round_to; {self._stays()}")
        return removed_units(self.competitors, gone)

    def most(self) -> float:
        """The largest share of what is counted that may go."""
        saving, total = self._saving()
        return (saving.left([0] * len(self.competitors)) - saving.left([c.steps[-1] for c in self.competitors])) / total

    def _stays(self) -> str:
        return f"layers keep {self.wishes.limits.least_kept:.0%} of their channels, and what is tied to inputs, outputs and norms stays"

    def _same_share(self, ratio: float) -> Array:
        nearest = [min(c.steps, key=lambda n: (abs(n - ratio * len(c.family.units)), n)) for c in self.competitors]
        return removed_units(self.competitors, nearest)

    def _saving(self) -> tuple[Saving, float]:
        """What is counted, by the constant it hangs on, and the whole of it."""
        families = [c.family for c in self.competitors]
        measure = self.wishes.measure
        if measure == "channels":
            channels = Saving.of_channels(families)
            return channels, channels.left([0] * len(families))
        if measure == "parameters":
            tensors = {str(v.name): constant_tensor(v) for v in self.model.graph.initializers.values()}
            held = {n: float(t.size) for n, t in tensors.items() if t is not None and t.dtype in FLOATS and n in self.groups.axes}
            return Saving.of_constants(self.groups, families, held), float(self.size.parameters)
        macs = macs_by_node(self.model, observed_shapes(self.model, self.feed, self.watcher.threads))
        weights: dict[str, float] = {}
        for node in self.model.graph:
            if str(node.name) in macs and node.inputs[1] is not None and str(node.inputs[1].name) in self.groups.axes:
                name = str(node.inputs[1].name)
                weights[name] = weights.get(name, 0.0) + macs[str(node.name)]
        return Saving.of_constants(self.groups, families, weights), float(sum(macs.values()))

    def _size(self, model: ir.Model) -> Size:
        macs = macs_by_node(model, observed_shapes(model, self.feed, self.watcher.threads))
        return Size(count_parameters(model), sum(macs.values()))

    def cut(self, ratio: float) -> tuple[ir.Model, Array]:
        """A smaller model with the weights as they were, and the units that went."""
        removed = self.choose(ratio)
        if not len(removed):
            what = f"a ratio of {ratio:g} takes nothing away: channels go in steps of {self.wishes.limits.round_to}"
            raise NothingPaid(what, hint="ask for more, or set a smaller round_to")
        return cut_out(self.model, self.groups, removed), removed

    def prune(self, ratio: float) -> "Pruned":
        """A smaller model with the weights that stay solved again, unless that is not wished."""
        made, removed = self.cut(ratio)
        plain = self.reference.compare(open_watched(made, self.watcher.threads)).sqnr
        done = Refitted(0)
        if self.wishes.refit:
            done = refit(made, self.model, self.groups, removed, self.watcher, work=int(WORK / max(self.size.macs, 1)))
        return Pruned(made, self._size(made), plain, done, self._widths(removed))

    def _widths(self, removed: Array) -> dict[str, tuple[int, int]]:
        found = {}
        for competitor in self.competitors:
            family = competitor.family
            gone = int(np.isin(family.units, removed).sum())
            found[family.name] = len(family.units) * family.positions, (len(family.units) - gone) * family.positions
        return found


@dataclass(frozen=True)
class Pruned:
    """A smaller model and how it came about."""

    model: ir.Model
    size: Size
    plain_sqnr: float
    """dB at the outputs before the weights were solved again."""
    refitted: Refitted
    widths: dict[str, tuple[int, int]]
    """Channels before and after, by the first layer that makes them."""


def nothing_prunable(model: ir.Model, exclude: Sequence[str]) -> NothingPaid:
    """The reason, as far as it can be seen."""
    if not any(n.op_type in LAYERS for n in model.graph):
        if any(n.op_type in LAYERS for graph in all_graphs(model) for n in graph):
            return NothingPaid("its convolutions and matrix products lie in branches or loop bodies, of which no channels are removed")
        return NothingPaid("it has no convolutions or matrix products with constant weights: there are no channels to remove")
    why = "what its layers give reaches outputs, norms over channels or operators through which channels cannot be followed"
    return NothingPaid(
        f"no channels can be removed: {why}", hint="exclude less" if exclude else "see the list of layers with optkit inspect"
    )
