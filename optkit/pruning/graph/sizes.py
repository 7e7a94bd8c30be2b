"""How large every tensor is on an example, and what a graph costs: multiply-accumulates of its layers, numbers it stores."""

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import onnx_ir as ir

from optkit.errors import OptkitError
from optkit.pruning.graph.groups import CONTRACTING
from optkit.pruning.graph.layer_rules import shape_of
from optkit.quantization.calibration.feeds import Feeds
from optkit.quantization.calibration.watched import open_watched
from optkit.runtimes import Port, full_feeds

Shapes = Mapping[str, tuple[int, ...]]


def observed_shapes(model: ir.Model, feed: Mapping[str, np.ndarray[Any, np.dtype[Any]]], threads: int) -> dict[str, tuple[int, ...]]:
    """The shapes of the main graph's tensors on one feed; only shapes are handed out."""
    probe = model.clone()
    names = [str(v.name) for v in probe.graph.inputs]
    names += [str(v.name) for n in probe.graph for v in n.outputs if v.name and isinstance(v.type, ir.TensorType | None)]
    values = {str(v.name): v for v in (*probe.graph.inputs, *(o for n in probe.graph for o in n.outputs))}
    nodes = [ir.node("Shape", [values[name]]) for name in names]
    for place, node in enumerate(nodes):
        node.outputs[0].name = f"optkit_shape_{place}"
        node.outputs[0].dtype, node.outputs[0].shape = ir.DataType.INT64, ir.Shape([None])
    probe.graph.extend(nodes)
    probe.graph.outputs.clear()
    probe.graph.outputs.extend(n.outputs[0] for n in nodes)
    session = open_watched(probe, threads, shapes_first=True)
    found = session.run(feed)
    return {name: tuple(int(d) for d in found[f"optkit_shape_{place}"]) for place, name in enumerate(names)}


def steady_sizes(model: ir.Model, examples: Feeds, threads: int) -> dict[str, tuple[int | None, ...]]:
    """Sizes that were the same on the first and on the last examples, in batches of two and of three where the model takes them."""
    batches = (1, 1) if examples.whole or len(examples) < 3 else (2, 3)
    try:
        return _steady(model, examples, batches, threads)
    except OptkitError:  # it takes one at a time
        return _steady(model, examples, (1, 1), threads)


def _steady(model: ir.Model, examples: Feeds, batches: tuple[int, int], threads: int) -> dict[str, tuple[int | None, ...]]:
    first = next(full_feeds(_Inputs(model), examples, batches[0]))
    *_, last = full_feeds(_Inputs(model), examples.spread(2 * batches[1]), batches[1])
    one, other = (observed_shapes(model, feed, threads) for feed in (first, last))
    return {name: tuple(a if a == b else None for a, b in zip(s, other[name], strict=False)) for name, s in one.items()}


def one_feed(model: ir.Model, examples: Feeds) -> Mapping[str, Any]:
    """The first example, as the model wants it."""
    return next(full_feeds(_Inputs(model), examples))


class _Inputs:
    """A model's inputs, as those of a session."""

    def __init__(self, model: ir.Model) -> None:
        shapes = {str(v.name): tuple(d if isinstance(d, int) else None for d in v.shape or ()) for v in model.graph.inputs}
        self.inputs = tuple(Port(name, "", shape) for name, shape in shapes.items())


def macs_by_node(model: ir.Model, shapes: Shapes) -> dict[str, int]:
    """Multiply-accumulates of each Conv, ConvTranspose, Gemm and MatMul on an example with these shapes."""
    found: dict[str, int] = {}
    for node in model.graph:
        if node.op_type in CONTRACTING and node.domain in ("", "ai.onnx"):
            out, read = shapes.get(str(node.outputs[0].name)), shapes.get(str(node.inputs[0].name))  # type: ignore[union-attr]
            if out is not None and read is not None:
                found[str(node.name)] = _macs(node, out, read)
    return found


def _macs(node: ir.Node, out: tuple[int, ...], read: tuple[int, ...]) -> int:
    weight = shape_of(node.inputs[1])
    if node.op_type == "Conv":
        return prod(out) * prod(weight[1:] if weight else ())
    if node.op_type == "ConvTranspose":
        return prod(read) * prod(weight[1:] if weight else ())
    inner = read[-2 if node.op_type == "Gemm" and "transA" in node.attributes and node.attributes["transA"].as_int() else -1]
    return prod(out) * inner


def count_parameters(model: ir.Model) -> int:
    """Floating-point numbers in all initializers of the main graph."""
    tensors = [v.const_value for v in model.graph.initializers.values()]
    return sum(int(t.size) for t in tensors if t is not None and t.dtype.is_floating_point())
