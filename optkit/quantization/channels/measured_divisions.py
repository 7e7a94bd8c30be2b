"""Which way to divide a tensor's channels, told by what its rounding does to the outputs: no formula knows what is behind a layer.

A switched copy of the float model holds, in front of every group of matrix products, the 8-bit rounding that dynamic INT8 does of the
divided tensor; what it is divided by, and what its error is multiplied by, are inputs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.calibration.feeds import Feeds
from optkit.quantization.calibration.switched import SwitchedModel
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.channels.divide import Division, matrix_of
from optkit.quantization.channels.smooth import Products, divisions_of, look
from optkit.quantization.graphs import add_node, share_names
from optkit.quantization.integer_graph.insert_dynamic import can_be_dynamic
from optkit.runtimes import full_feeds, open_session

EXAMPLES = 32
"""On which channels are looked at."""
FEEDS = 6
"""On which outputs are compared."""
LEARNED = 0.5
"""What learned rounding leaves of the noise of weights."""
BETTER = 0.98
"""Share to which the noise must fall for another way to be taken."""


def measured_divisions(original: Path, model: ir.Model, held: Mapping[str, Division], watcher: Watcher) -> dict[str, Division]:
    """For each division held, the best of its kind by the outputs: no more channels apart, so none takes more time."""
    groups: dict[str, list[ir.Node]] = {}
    for node in model.graph:
        if can_be_dynamic(node) and str(node.inputs[0].name) in held:  # type: ignore[union-attr]
            groups.setdefault(str(node.inputs[0].name), []).append(node)  # type: ignore[union-attr]
    if not groups:
        return dict(held)
    seen = look(model, groups, watcher.spread(EXAMPLES))
    found = dict(held)
    rounded = RoundedOne(original, model, groups, watcher.examples.spread(FEEDS), watcher.threads)
    for done, (name, nodes) in enumerate(groups.items()):
        products = Products(seen[name], [matrix_of(n) for n in nodes])
        count = len(held[name].apart)
        ways = [held[name], *divisions_of(products.peaks, products.weights, count)]
        noises = [rounded.noise(name, way) * with_weights(products, way) for way in ways]
        best = int(np.argmin(noises))
        if noises[best] < BETTER * noises[0]:
            found[name] = ways[best]
        watcher.progress("weighing divisions", done + 1, len(groups))
    return found


def with_weights(products: Products, way: Division) -> float:
    """The noise of inputs and weights by that of inputs alone."""
    inputs = products.error(way, weights=False)
    return 1 + LEARNED * max(products.error(way) / max(inputs, 1e-30) - 1, 0)


@dataclass(frozen=True)
class _Inputs:
    factor: str
    error: str


class RoundedOne:
    """The float model with one tensor at a time rounded."""

    def __init__(self, original: Path, model: ir.Model, groups: Mapping[str, Sequence[ir.Node]], examples: Feeds, threads: int) -> None:
        made = model.clone()
        share_names(made)
        nodes = {str(n.name): n for n in made.graph}
        self.ports: dict[str, _Inputs] = {}
        self.none: dict[str, Array] = {}
        for place, (name, readers) in enumerate(groups.items()):
            self._round(made.graph, name, place, [nodes[str(n.name)] for n in readers])
        feeds = full_feeds(open_session(original, "cpu", threads), examples)
        self.switched = SwitchedModel(model, made, feeds, self.none, threads)

    def noise(self, name: str, way: Division) -> float:
        """At the outputs, relative to what varies in them."""
        factor = way.factor()
        back = np.divide(1, factor, out=np.zeros_like(factor), where=factor > 0)
        return self.switched.noise({**self.none, self.ports[name].factor: factor, self.ports[name].error: back})

    def _round(self, graph: ir.Graph, name: str, place: int, nodes: Sequence[ir.Node]) -> None:
        channels = matrix_of(nodes[0]).shape[0]
        ports = _Inputs(f"optkit_factor_{place}", f"optkit_error_{place}")
        first, source = nodes[0], nodes[0].inputs[0]
        values = [ir.Value(name=n, type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([channels])) for n in (ports.factor, ports.error)]
        graph.inputs.extend(values)
        divided = add_node(first, "Mul", [source, values[0]], "divided").outputs[0]
        integers = add_node(first, "DynamicQuantizeLinear", [divided], "rounded", outputs=3)
        back = add_node(first, "DequantizeLinear", list(integers.outputs), "rounded").outputs[0]
        error = add_node(first, "Sub", [back, divided], "error").outputs[0]
        shown = add_node(first, "Mul", [error, values[1]], "error").outputs[0]
        noisy = add_node(first, "Add", [source, shown], "noisy").outputs[0]
        for node in nodes:
            node.replace_input_with(0, noisy)
        self.ports[name] = ports
        self.none |= {ports.factor: np.ones(channels, np.float32), ports.error: np.zeros(channels, np.float32)}
