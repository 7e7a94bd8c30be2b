"""Factors per channel around activations that no factor passes through, for equalization to choose.

An integer tensor has one step for all its channels. Where layers follow each other, equalization (equalize.py) brings the channels to
alike ranges for free; GELU, HardSwish and their like stop it. There a multiplication by one number for each channel, a seam, does it:
behind the activation, before the layer that takes the factors back, and behind a layer, before the activation that wants whole numbers.
It is one pass over floats that are there anyway.
"""

from collections.abc import Iterable

import numpy as np
import onnx_ir as ir

from optkit.quantization.channels.ties import IMAGE, Ties, find_ties, is_seam, passes_factors, scalable_layer
from optkit.quantization.graphs import add_constant, add_node, constant_array
from optkit.quantization.integer_graph.insert_static import output_of
from optkit.quantization.operators import attribute, weight_of


def add_seams(model: ir.Model) -> ir.Model:
    """A copy of the model with idle seams (of ones) around every convolution whose channels cannot be scaled as they are."""
    made = model.clone()
    ties = find_ties(made)
    layers = [n for n in made.graph if n.op_type == "Conv" and scalable_layer(n) and _of_images(n)]
    before: dict[ir.Value, list[ir.Node]] = {}
    for node in layers:
        source = node.inputs[0]
        if source is not None and source.producer() is not None and _fixed(source, ties):
            before.setdefault(source, []).append(node)
    for layer in layers:
        value = output_of(layer)
        readers = list(dict.fromkeys(value.consumers()))
        stopped = {n for n in readers if _stops(n, made.graph, {})}
        if stopped and _fixed(value, ties) and not value.is_graph_output() and all(n.graph is made.graph for n in readers):
            # what belongs to an activation reads the same as the rest of it: ONNX Runtime knows GELU by that
            others = [n for n in readers if n in stopped or not (scalable_layer(n) or n.op_type == "Add")]
            _redirect(value, others, _seam(made.graph, value, _sizes(layer)[0], "Div"))
    for value, nodes in before.items():
        _redirect(value, nodes, _seam(made.graph, value, _sizes(nodes[0])[1], "Mul"))
    return made


def drop_idle_seams(model: ir.Model) -> int:
    """Take out in place the seams that were left at ones; returns how many are left that do something."""
    working = 0
    for node in [n for n in model.graph if is_seam(n) and str(n.name).endswith(MARK)]:
        factors, value = constant_array(node.inputs[1]), node.inputs[0]
        if factors is not None and value is not None and (factors == 1).all():
            node.outputs[0].replace_all_uses_with(value)
            model.graph.remove(node, safe=True)
        else:
            working += 1
    return working


MARK = "_seam"


def _stops(node: ir.Node, graph: ir.Graph, known: dict[ir.Node, bool]) -> bool:
    """Whether factors meet something that none passes through, on some way from here to the next layers."""
    if node.graph is not graph or not passes_factors(node):
        return True
    if scalable_layer(node) or is_seam(node):
        return False
    if node not in known:
        known[node] = any(_stops(n, graph, known) for v in node.outputs for n in v.consumers())
    return known[node]


def _fixed(value: ir.Value, ties: Ties) -> bool:
    return value not in ties.of or not ties.groups(value).any()


def _of_images(node: ir.Node) -> bool:
    return node.outputs[0].shape is not None and len(node.outputs[0].shape) == IMAGE and len(node.inputs[0].shape or ()) == IMAGE  # type: ignore[union-attr]


def _sizes(node: ir.Node) -> tuple[int, int]:
    """Channels that a convolution writes, and reads."""
    weight = weight_of(node)
    assert weight is not None
    shape = list(weight.shape.numpy())
    return shape[0], shape[1] * int(attribute(node, "group", 1))


def _seam(graph: ir.Graph, value: ir.Value, channels: int, operator: str) -> ir.Value:
    producer = value.producer()
    assert producer is not None
    ones = add_constant(graph, f"{value.name}_factors", np.ones((channels, 1, 1), np.float32))
    made = add_node(producer, operator, [value, ones], f"{value.name}{MARK}", after=True)
    made.name = f"{made.name}{MARK}" if not str(made.name).endswith(MARK) else made.name
    made.outputs[0].type, made.outputs[0].shape = value.type, value.shape
    return made.outputs[0]


def _redirect(old: ir.Value, readers: Iterable[ir.Node], new: ir.Value) -> None:
    nodes = set(readers)
    for use in list(old.uses()):
        if use.node in nodes:
            use.node.replace_input_with(use.idx, new)
