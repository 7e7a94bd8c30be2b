"""What a loop hands on unchanged from round to round is read from around it instead.

Exporters of TensorFlow give weights to a while loop as state. A runtime then takes them for values: it copies them in every round,
prepares none of them for products, and nobody sees that they are constant.
"""

from collections.abc import Mapping, Sequence

import onnx_ir as ir

BEFORE_STATE = {"Loop": 2, "Scan": 0}
"""Inputs of the node, and of its body, ahead of the state: a Loop's count and condition."""
CONDITIONS = {"Loop": 1, "Scan": 0}
"""Outputs of the body ahead of the state."""
SCAN_IN_PRESENT_FORM = 9


def free_loop_invariants(model: ir.Model) -> None:
    """Take what does not change out of the state of every Loop and Scan, in place, inner loops first."""
    if model.opset_imports.get("", SCAN_IN_PRESENT_FORM) < SCAN_IN_PRESENT_FORM:
        return
    for graph in reversed(list(model.graphs())):
        for node in [n for n in graph if n.op_type in BEFORE_STATE and n.domain in ("", "ai.onnx")]:
            _free(node)


def _free(node: ir.Node) -> None:
    body = node.attributes["body"].as_graph()
    ahead, conditions = BEFORE_STATE[node.op_type], CONDITIONS[node.op_type]
    states = len(body.outputs) - conditions if node.op_type == "Loop" else len(node.inputs) - node.attributes["num_scan_inputs"].as_int()
    kept_inputs, kept_outputs, gone = list(range(ahead)), [], {}
    for place in range(min(states, len(node.inputs) - ahead)):
        start, held = node.inputs[ahead + place], body.inputs[ahead + place]
        if start is not None and _handed_on(body.outputs[conditions + place]) is held and _can_be_read(start, body):
            gone[place] = start
        else:
            kept_inputs.append(ahead + place)
            kept_outputs.append(place)
    if not gone:
        return
    kept_inputs += range(len(kept_inputs) + len(gone), len(node.inputs))
    kept_outputs += range(len(kept_outputs) + len(gone), len(node.outputs))
    for place in sorted(gone, reverse=True):
        body.outputs.pop(conditions + place)
    for place, start in gone.items():
        _read_from_around(body.inputs[ahead + place], start, body)
        _stand_for(node.outputs[place], start, node)
    for place in sorted(gone, reverse=True):
        body.inputs.pop(ahead + place)
    _rebuild(node, kept_inputs, kept_outputs)


def _handed_on(value: ir.Value) -> ir.Value:
    """What a value is, seen through Identity."""
    node = value.producer()
    while node is not None and node.op_type == "Identity" and node.inputs[0] is not None:
        value = node.inputs[0]
        node = value.producer()
    return value


def _can_be_read(value: ir.Value, body: ir.Graph) -> bool:
    """Whether the name of a value around a body means that value in it."""
    return all(
        value.name != each.name
        for graph in (body, *body.subgraphs())
        for each in (*graph.inputs, *graph.initializers.values(), *(v for n in graph for v in n.outputs))
    )


def _read_from_around(held: ir.Value, start: ir.Value, body: ir.Graph) -> None:
    """Nothing of a body reads an input of it any more; what it gives of it in other places is a copy."""
    if held.is_graph_output():
        copy = ir.node("Identity", [held])
        copy.outputs[0].name, copy.outputs[0].type, copy.outputs[0].shape = f"{held.name}_copy", held.type, held.shape
        body.append(copy)
        for place, given in enumerate(body.outputs):
            if given is held:
                body.outputs[place] = copy.outputs[0]
    held.replace_all_uses_with(start)


def _stand_for(output: ir.Value, start: ir.Value, node: ir.Node) -> None:
    """What a loop ends with is what it began with."""
    if not output.is_graph_output():
        output.replace_all_uses_with(start)
        return
    assert isinstance(node.graph, ir.Graph)
    copy = ir.node("Identity", [start])
    copy.outputs[0].type, copy.outputs[0].shape = output.type, output.shape
    node.graph.insert_after(node, copy)
    name, output.name = output.name, f"{output.name}_of_loop"
    output.replace_all_uses_with(copy.outputs[0], replace_graph_outputs=True)
    copy.outputs[0].name = name


def _rebuild(node: ir.Node, inputs: Sequence[int], outputs: Sequence[int]) -> None:
    """The same node with these inputs and outputs alone."""
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    attributes: Mapping[str, ir.Attr] = dict(node.attributes)
    given = [node.inputs[i] for i in inputs]
    made = ir.Node(node.domain, node.op_type, given, tuple(attributes.values()), num_outputs=len(outputs), name=node.name)
    graph.insert_before(node, made)
    for new, place in zip(made.outputs, outputs, strict=True):
        old = node.outputs[place]
        name, new.type, new.shape = old.name, old.type, old.shape
        old.replace_all_uses_with(new, replace_graph_outputs=True)
        old.name = f"{name}_before"
        new.name = name
    graph.remove(node, safe=True)
