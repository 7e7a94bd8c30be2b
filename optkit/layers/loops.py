"""The first round of a loop, in front of it: what a round computes then stands in the graph around, and can be looked into."""

import numpy as np
import onnx_ir as ir

from optkit.formats.onnx_constants import add_constant
from optkit.layers.splice import splice
from optkit.quantization.graphs import fresh_name

FIRST = " (first round)"
"""Behind the names of tensors of that round."""
LATER = " (later rounds)"


def in_the_body(name: str) -> str:
    """What a tensor of a first round is called in the loop; other names stay as they are."""
    return name.removesuffix(FIRST)


def put_first_round_in_front(node: ir.Node, graph: ir.Graph) -> None:
    """`node`, a Loop that runs once at least, goes on where its first round ended.

    Its last condition counts then even where the loop was given none, as ONNX Runtime has it.
    """
    body, states = node.attributes["body"].as_graph(), [value for value in node.inputs[2:] if value is not None]
    _forget_shapes(node, body)
    rank = len(body.inputs[0].shape or ())  # ONNX Runtime counts rounds in whichever form is declared
    none, one = (add_constant(graph, f"optkit_round_{number}", np.full((1,) * rank, number)) for number in (0, 1))
    first = body.clone(allow_outer_scope_values=True)
    for value in (*list(first.initializers.values()), *(v for inner in first for v in inner.outputs)):
        value.name = f"{value.name}{FIRST}"
    asked = node.inputs[1] if len(node.inputs) > 1 else None
    begin = dict(zip(first.inputs, (none, asked or add_constant(graph, "optkit_goes_on", np.array(True)), *states), strict=True))
    ended = [begin.get(value, value) for value in first.outputs]
    first.outputs.clear()
    for port, given in begin.items():
        ir.convenience.replace_all_uses_with(port, given)
    splice(first, node, graph)
    # ONNX Runtime has to know the rank that the condition comes in
    goes_on = ir.node("Reshape", [ended[0], add_constant(graph, "optkit_one_answer", np.ones(len(body.inputs[1].shape or ()), np.int64))])
    goes_on.outputs[0].name = fresh_name(graph, f"{body.inputs[1].name}{LATER}")
    graph.insert_before(node, goes_on)
    _go_on(node, body, [goes_on.outputs[0], *ended[1 : 1 + len(states)]], one, graph)
    for outer, value in zip(node.outputs[len(states) :], ended[1 + len(states) :], strict=True):
        _put_together(node, outer, value, graph)


def _forget_shapes(node: ir.Node, body: ir.Graph) -> None:
    """What a loop begins with as a number may be a list of one number from the first round on, whatever is declared."""
    for value in (*body.inputs[2:], *body.outputs, *(v for inner in body.all_nodes() for v in inner.outputs)):
        value.shape = None
    for part in body.subgraphs():
        for value in part.outputs:
            value.shape = None
    for value in node.outputs:
        if not value.is_graph_output():
            value.shape = None


def _go_on(node: ir.Node, body: ir.Graph, given: list[ir.Value], one: ir.Value, graph: ir.Graph) -> None:
    """Let a loop begin with its second round: `given` are the condition and the states after the first."""
    most = node.inputs[0]
    if most is not None:
        left = ir.node("Sub", [most, one])
        left.outputs[0].name = fresh_name(graph, f"{most.name}{LATER}")
        graph.insert_before(node, left)
        node.replace_input_with(0, left.outputs[0])
    if len(node.inputs) < 1 + len(given):
        node.resize_inputs(1 + len(given))
    for place, value in enumerate(given, start=1):
        node.replace_input_with(place, value)
    number = body.inputs[0]
    if number.uses() or number.is_graph_output():
        later = ir.node("Add", [number, one])
        later.outputs[0].name = fresh_name(graph, f"{number.name}{LATER}")
        number.replace_all_uses_with(later.outputs[0], replace_graph_outputs=True)
        later.replace_input_with(0, number)
        body.insert_before(body[0], later) if len(body) else body.append(later)


def _put_together(node: ir.Node, outer: ir.Value, value: ir.Value, graph: ir.Graph) -> None:
    """What a loop collects, one part a round: that of the first before those of the later ones.

    Both are given their shape: of no later round at all ONNX Runtime may know no rank, and ends the process where a Concat reads that.
    """
    inner, all_later = (ir.node("Shape", [each]) for each in (value, outer))
    rounds = ir.node("Gather", [all_later.outputs[0], add_constant(graph, "optkit_front", np.array([0]))])
    shape = [
        ir.node("Concat", [count, inner.outputs[0]], {"axis": 0})
        for count in (add_constant(graph, "optkit_one_row", np.array([1])), rounds.outputs[0])
    ]
    parts = [ir.node("Reshape", [part, wanted.outputs[0]]) for part, wanted in zip((value, outer), shape, strict=True)]
    both = ir.node("Concat", [part.outputs[0] for part in parts], {"axis": 0})
    made = (inner, all_later, rounds, *shape, *parts, both)
    for reader in made:
        reader.outputs[0].name = fresh_name(graph, f"{outer.name}{LATER}")
    for use in list(outer.uses()):
        if use.node not in made:
            use.node.replace_input_with(use.idx, both.outputs[0])
    for place, answer in enumerate(graph.outputs):
        if answer is outer:
            graph.outputs[place] = both.outputs[0]
    both.outputs[0].name, outer.name = outer.name, both.outputs[0].name
    both.outputs[0].type, both.outputs[0].shape, outer.shape = outer.type, outer.shape, None
    graph.insert_after(node, made)
