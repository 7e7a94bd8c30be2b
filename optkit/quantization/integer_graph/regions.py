"""Which nodes around integer layers compute in integers too, so that nothing goes to float and back between them."""

from collections.abc import Callable, Iterable

import onnx_ir as ir

from optkit.quantization.fidelity.output_forms import RESHAPING
from optkit.quantization.graphs import all_graphs
from optkit.quantization.integer_graph.hard_gates import can_be_integer, is_hard_gate
from optkit.quantization.integer_graph.insert_static import activation_inputs, outputs_of
from optkit.quantization.operators import ELEMENTWISE, activation_after, is_standard, moves


def region_nodes(
    model: ir.Model,
    seeds: Iterable[ir.Node],
    allowed: Callable[[ir.Node], bool] = lambda node: True,
    *,
    readers: Iterable[ir.Node] = (),
    ends: bool = False,
) -> list[ir.Node]:
    """Elementwise and moving nodes that can stay in integers because what they read is made by integer nodes, or, beside such, quantized
    for a layer all the same.

    `seeds` are layers that read and write integers, `readers` layers that only read them.
    What leads to neither is left out, unless `ends` are wanted: after the last layer another rounding gains no time, and a
    detector's boxes and scores must not share a grid.
    """
    layers, read = set(seeds), list(readers)
    inside = set(layers)
    closed = inside | {activation_after(n) for n in inside}
    quantized = {v for n in (*inside, *read) for v in activation_inputs(n)}
    grown = []
    for node in (n for g in all_graphs(model) for n in g):
        if node in closed or not (moves(node) or _computes(node)) or not _joinable(node) or not allowed(node):
            continue
        values = activation_inputs(node)
        made = {v for v in values if (m := v.producer()) is not None and m in closed and m.graph is node.graph}
        if made and all(v in made or v in quantized for v in values):
            grown.append(node)
            closed |= {node, *(v.producer() or node for v in outputs_of(node))}
    return grown if ends else _leading_on(grown, {*layers, *read})


def _leading_on(grown: list[ir.Node], layers: set[ir.Node]) -> list[ir.Node]:
    """Those whose values an integer layer reads in the end."""
    kept = set(layers)
    for node in reversed(grown):
        if any(reader in kept for value in outputs_of(node) for reader in value.consumers()):
            kept.add(node)
    return [n for n in grown if n in kept]


def _computes(node: ir.Node) -> bool:
    return is_standard(node) and node.op_type in ELEMENTWISE


def _joinable(node: ir.Node) -> bool:
    floats = [*activation_inputs(node), *node.outputs]
    if node.op_type == "Softmax" or (node.op_type in ("Sigmoid", "HardSigmoid") and _is_answer(node)):
        return False  # 256 levels are few for probabilities: examples would score alike
    if node.op_type == "HardSigmoid" and not (is_hard_gate(node) and can_be_integer(node)):
        return False
    return (len(node.outputs) == 1 or moves(node)) and all(v.dtype == ir.DataType.FLOAT for v in floats)


def _is_answer(node: ir.Node) -> bool:
    """Whether an output is what the node computes, but for its shape."""
    value = node.outputs[0]
    while not value.is_graph_output() and len(value.consumers()) == 1 and value.consumers()[0].op_type in RESHAPING:
        value = value.consumers()[0].outputs[0]
    return value.is_graph_output()
