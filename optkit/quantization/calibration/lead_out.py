"""Values inside `If` branches, `Loop` and `Scan` bodies, led out to the main graph so that they can be watched.

A branch gets one output more for each, and the branch beside it an empty one: what was not taken on an example gives nothing there.
A body gets one scan output more for each: its values of all steps come stacked on a new first axis.
"""

from collections.abc import Collection, Iterator

import numpy as np
import onnx_ir as ir

from optkit.quantization.graphs import fresh_name, share_names

BRANCHES = ("then_branch", "else_branch")
SCANNED = ("scan_output_axes", "scan_output_directions")


def inner_values(model: ir.Model, names: Collection[str]) -> bool:
    """Whether any of `names` stands in a branch or body."""
    return any(v.name in names for g in model.graph.subgraphs() for v in _values(g))


def lead_out(model: ir.Model, names: Collection[str], *, bodies: bool = True) -> dict[str, tuple[str, int]]:
    """Give the main graph of `model` a tensor for each of `names` that stands in a branch or body, in place.

    Returns their names there, and how many axes of steps stand before their own. Names in a Loop or Scan are left out unless
    `bodies`, and so is what stands in a branch within a body: its steps would differ in shape.
    """
    share_names(model)
    found: dict[str, tuple[str, int]] = {}
    for name, value, path in _located(model.graph, names, ()):
        loops = [node.op_type != "If" for node, _ in path]
        if any(loops) and (not bodies or _branch_below(loops)):
            continue
        for node, graph in reversed(path):
            value = _through(node, graph, value)
        found[name] = str(value.name), sum(loops)
    return found


def _branch_below(loops: list[bool]) -> bool:
    """Whether a branch stands somewhere inside a body."""
    return False in loops[loops.index(True) :]


Path = tuple[tuple[ir.Node, ir.Graph], ...]


def _located(graph: ir.Graph, names: Collection[str], path: Path) -> "Iterator[tuple[str, ir.Value, Path]]":
    for node in list(graph):
        for attr in node.attributes.values():
            if attr.type != ir.AttributeType.GRAPH or node.op_type not in ("If", "Loop", "Scan"):
                continue
            body = attr.as_graph()
            here = (*path, (node, body))
            for value in list(_values(body)):
                if value.name in names:
                    yield str(value.name), value, here
            yield from _located(body, names, here)


def _values(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from graph.inputs
    for node in graph:
        yield from node.outputs


def _through(node: ir.Node, graph: ir.Graph, value: ir.Value) -> ir.Value:
    """One level up: the value of `graph`, a body of `node`, as an output of `node`."""
    _give(graph, value)
    if node.op_type == "If":
        for branch in BRANCHES:
            other = node.attributes[branch].as_graph()
            if other is not graph:
                _give_nothing(other, value)
    for name in SCANNED:
        if name in node.attributes:
            node.attributes[name] = ir.AttrInt64s(name, [*node.attributes[name].as_ints(), 0])
    node.resize_outputs(len(node.outputs) + 1)
    led = node.outputs[-1]
    led.name = fresh_name(graph, f"{value.name}_led_out")
    if value.dtype is not None:
        led.type = ir.TensorType(value.dtype)
    return led


def _give(graph: ir.Graph, value: ir.Value) -> None:
    """A copy, since a value cannot be an output twice, nor can an input be one in a branch."""
    copy = ir.node("Identity", [value])
    copy.outputs[0].name, copy.outputs[0].type = fresh_name(graph, f"{value.name}_copy"), value.type
    graph.append(copy)
    graph.outputs.append(copy.outputs[0])


def _give_nothing(graph: ir.Graph, value: ir.Value) -> None:
    kind = value.dtype.numpy() if value.dtype is not None else np.dtype(np.float32)
    nothing = ir.node("Constant", [], {"value": ir.tensor(np.zeros(0, kind))})
    nothing.outputs[0].name, nothing.outputs[0].type = fresh_name(graph, f"{value.name}_nothing"), value.type
    graph.append(nothing)
    graph.outputs.append(nothing.outputs[0])
