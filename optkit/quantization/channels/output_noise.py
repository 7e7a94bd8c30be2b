"""How much of each rounding shows at the outputs: noise of the same size matters in one layer and vanishes in the next.

One copy of the float model holds, in front of every group of matrix products, the same 8-bit rounding that dynamic INT8 does, and
an input that switches each on: every answer costs a run of the float model, and no new session.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir

from optkit.formats.onnx import LARGEST_DRAFT, save_model
from optkit.progress import Progress
from optkit.quantization.fidelity.reference import Reference
from optkit.quantization.graphs import add_constant, add_node, share_names
from optkit.runtimes import Batches, Port, full_feeds
from optkit.runtimes.onnxruntime import open_onnx

SWITCHES = "optkit_switches"


def output_noise(
    model: ir.Model, groups: Mapping[str, Sequence[ir.Node]], examples: Batches, *, threads: int, progress: Progress
) -> dict[str, float]:
    """Noise at the outputs, relative to what varies in them, when one tensor is rounded for the nodes that read it; by tensor.

    `groups` gives the nodes of the main graph that read each tensor.
    """
    names = list(groups)
    switched = _switched(model, groups)
    feeds = list(full_feeds(_Wanted(model), examples))
    with tempfile.TemporaryDirectory(prefix="optkit-") as folder:
        save_model(switched, Path(folder) / "switched.onnx", largest=LARGEST_DRAFT)
        session = open_onnx(Path(folder) / "switched.onnx", "cpu", threads)
        off = np.zeros(len(names), np.float32)
        reference = Reference(model, session, [{**feed, SWITCHES: off} for feed in feeds])
        found = {}
        for place, name in enumerate(names):
            on = np.eye(len(names), dtype=np.float32)[place]
            reference.feeds = [{**feed, SWITCHES: on} for feed in feeds]
            found[name] = float(10 ** (-reference.compare(session).sqnr / 10))
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
        error = add_node(first, "Sub", [rounded, source], "error").outputs[0]
        chosen = add_node(first, "Mul", [error, switch], "error").outputs[0]
        noisy = add_node(first, "Add", [source, chosen], "noisy").outputs[0]
        for node in own:
            node.replace_input_with(0, noisy)
    return made
