"""Small questions to an onnx-ir graph, and small additions to it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array


def all_graphs(model: ir.Model) -> Iterator[ir.Graph]:
    """The main graph, then the bodies of its If, Loop and Scan nodes, in order."""
    yield model.graph
    yield from model.graph.subgraphs()


def constant_tensor(value: ir.Value | None) -> ir.TensorProtocol | None:
    """The tensor of an initializer or of a Constant node's output, without reading its bytes; None if it is computed."""
    if value is None:
        return None
    if value.is_initializer() and not value.is_graph_input():
        return value.const_value
    producer = value.producer()
    if producer is not None and producer.op_type == "Constant" and "value" in producer.attributes:
        return producer.attributes["value"].as_tensor()
    return None


def constant_array(value: ir.Value | None) -> Array | None:
    """The numbers of a constant, or None if it is computed."""
    tensor = constant_tensor(value)
    return None if tensor is None else tensor.numpy()


def add_constant(graph: ir.Graph, name: str, array: Array | np.generic) -> ir.Value:
    """A new initializer; `name` is made unique."""
    tensor = ir.tensor(np.asarray(array, order="C"), name=fresh_name(graph, name))
    value = ir.Value(name=tensor.name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape), const_value=tensor)
    graph.register_initializer(value)
    return value


def shared_constant(graph: ir.Graph, name: str, array: Array | np.generic) -> ir.Value:
    """The initializer `name` where it holds these numbers already, else a new one: layers with one weight go on sharing it."""
    held = graph.initializers.get(name)
    wanted = np.asarray(array)
    if held is not None and not held.is_graph_input() and held.const_value is not None:
        there = held.const_value.numpy()
        if there.dtype == wanted.dtype and np.array_equal(there, wanted):
            return held
    return add_constant(graph, name, array)


def home_of(value: ir.Value | None, graph: ir.Graph) -> ir.Graph:
    """The graph whose initializer a constant is: what replaces it belongs there too, where every branch that shares it can read it."""
    return value.graph if value is not None and value.is_initializer() and isinstance(value.graph, ir.Graph) else graph


def add_node(
    before: ir.Node,
    op_type: str,
    inputs: list[ir.Value | None],
    output: str,
    *,
    outputs: int = 1,
    domain: str = "",
    after: bool = False,
    **attributes: Any,
) -> ir.Node:
    """A new node placed right before (or after) a node of the same graph; its outputs are named from `output`."""
    graph = graph_of(before)
    node = ir.node(op_type, inputs, attributes or None, domain=domain, num_outputs=outputs, name=fresh_name(graph, f"{output}_{op_type}"))
    for i, value in enumerate(node.outputs):
        value.name = fresh_name(graph, output if i == 0 else f"{output}_{i}")
    if after:
        graph.insert_after(before, node)
    else:
        graph.insert_before(before, node)
    return node


def take_place(node: ir.Node, value: ir.Value) -> None:
    """`value` stands where the only output of a node stood, with its name, type and shape; the node goes."""
    old = node.outputs[0]
    name, value.type, value.shape = old.name, old.type, old.shape
    old.replace_all_uses_with(value, replace_graph_outputs=True)
    graph_of(node).remove(node, safe=True)
    value.name = name


def graph_of(node: ir.Node) -> ir.Graph:
    graph = node.graph
    if not isinstance(graph, ir.Graph):
        raise TypeError(f"node {node.name!r} is in no graph")
    return graph


def fresh_name(graph: ir.Graph, name: str) -> str:
    """`name`, with a number where the graph has it already. Names given out are remembered on the graph."""
    owner, taken = graph.meta.get("optkit_names", (None, set()))
    if owner is not graph:  # a copy starts with the notes of the graph it was made from
        taken = set(_names(graph))
        graph.meta["optkit_names"] = graph, taken
    unique, number = name, 1
    while unique in taken:
        number += 1
        unique = f"{name}_{number}"
    taken.add(unique)
    return unique


def share_names(model: ir.Model) -> None:
    """From here on fresh names are new in the whole model: a name in a branch must not hide one of the graph around it."""
    taken = set(_names(model.graph))
    for graph in all_graphs(model):
        graph.meta["optkit_names"] = graph, taken


def _names(graph: ir.Graph) -> Iterator[str]:
    for node in graph.all_nodes():
        yield node.name or ""
        for value in node.outputs:
            yield value.name or ""
    for part in (graph, *graph.subgraphs()):
        for value in (*part.inputs, *part.initializers.values()):
            yield value.name or ""


def forget_shapes(model: ir.Model) -> None:
    """Leave shapes to the runtime: told them, ONNX Runtime fuses SkipLayerNormalization, which makes a quantized BERT a tenth slower."""
    for graph in all_graphs(model):
        for node in graph:
            for value in node.outputs:
                if not value.is_graph_output():
                    value.shape = value.type = None


def prune_unused(model: ir.Model) -> None:
    """Drop nodes and initializers that nothing reads any more, in branches and loop bodies too."""
    from optkit.formats.onnx_simplify import remove_unused

    remove_unused(model)
