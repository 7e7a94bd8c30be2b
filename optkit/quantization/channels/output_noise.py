"""How much of each rounding shows at the outputs: noise of the same size matters in one layer and vanishes in the next.

A switched copy of the float model holds, in front of every group of matrix products, the same 8-bit rounding that dynamic INT8 does.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from optkit.progress import Progress
from optkit.quantization.calibration.switched import SwitchedModel, with_error
from optkit.quantization.graphs import add_constant, add_node, share_names
from optkit.runtimes import Batches, Port, full_feeds

SWITCHES = "optkit_switches"


def output_noise(
    model: ir.Model, groups: Mapping[str, Sequence[ir.Node]], examples: Batches, *, threads: int, progress: Progress
) -> dict[str, float]:
    """Noise at the outputs, relative to what varies in them, when one tensor is rounded for the nodes that read it; by tensor.

    `groups` gives the nodes of the main graph that read each tensor.
    """
    names = list(groups)
    feeds = list(full_feeds(_Wanted(model), examples))
    switched = SwitchedModel(model, _switched(model, groups), feeds, {SWITCHES: np.zeros(len(names), np.float32)}, threads)
    found = {}
    for place, name in enumerate(names):
        found[name] = switched.noise({SWITCHES: np.eye(len(names), dtype=np.float32)[place]})
        progress("weighing layers", place + 1, len(names))
    return found


class _Wanted:
    """What a model takes, without its switches."""

    def __init__(self, model: ir.Model) -> None:
        self.inputs = tuple(
            Port(str(each.name), "", tuple(size if isinstance(size, int) else None for size in each.shape or ()))
            for each in model.graph.inputs
            if each.name not in model.graph.initializers
        )


def _switched(model: ir.Model, groups: Mapping[str, Sequence[ir.Node]]) -> ir.Model:
    made = model.clone()
    share_names(made)
    graph = made.graph
    kind, shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([len(groups)])
    switches = ir.Value(name=SWITCHES, type=kind, shape=shape)
    graph.inputs.append(switches)
    nodes = {str(n.name): n for n in graph}
    for place, readers in enumerate(groups.values()):
        own = [nodes[str(n.name)] for n in readers]
        first, source = own[0], own[0].inputs[0]
        assert source is not None
        switch = add_node(first, "Gather", [switches, add_constant(graph, "switch", np.int64(place))], "switch").outputs[0]
        integers = add_node(first, "DynamicQuantizeLinear", [source], "rounded", outputs=3)
        rounded = add_node(first, "DequantizeLinear", list(integers.outputs), "rounded").outputs[0]
        noisy = with_error(first, source, rounded, switch)
        for node in own:
            node.replace_input_with(0, noisy)
    return made
