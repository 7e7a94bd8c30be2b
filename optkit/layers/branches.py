"""A branch that the examples take, in place of the `If` node that chooses it. Tensors keep their names."""

from collections.abc import Iterator

import onnx_ir as ir

from optkit.layers.splice import splice

BRANCHES = {True: "then_branch", False: "else_branch"}


def put_branch_in_place(node: ir.Node, taken: bool, graph: ir.Graph) -> int:
    """What the branch gives takes the names of the outputs of `node`, an If; how many tensors the other branch has."""
    beside = sum(1 for _ in _computed_in(node.attributes[BRANCHES[not taken]].as_graph()))
    branch = node.attributes[BRANCHES[taken]].as_graph()
    for name in BRANCHES.values():
        node.attributes.pop(name)
    own, given = {value for inner in branch for value in inner.outputs}, list(branch.outputs)
    splice(branch, node, graph)
    for outer, value in zip(node.outputs, given, strict=True):
        if value not in own:  # a constant, or handed on from around the branch, or given twice
            copy = ir.node("Identity", [value])
            graph.insert_before(node, copy)
            value = copy.outputs[0]
        own.discard(value)
        outer.replace_all_uses_with(value, replace_graph_outputs=True)
        value.type = value.type or outer.type
        value.shape = outer.shape if value.shape is None else value.shape
        value.name, outer.name = outer.name, None
    graph.remove(node, safe=True)
    return beside


def _computed_in(graph: ir.Graph) -> Iterator[ir.Value]:
    for part in (graph, *graph.subgraphs()):
        for node in part:
            if node.op_type != "Constant":
                yield from node.outputs
