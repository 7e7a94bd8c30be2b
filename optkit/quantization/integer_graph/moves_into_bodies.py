"""What a branch or a loop reads of moved integers: the move is made on the integers, and floats are made of them behind it.

ONNX Runtime (QDQPropagationTransformer, to 1.32 at least) carries a DequantizeLinear that one node alone reads through nodes that only
move values, and ends the whole process where what comes out is read inside a branch or loop: it takes that for an ordinary input.
"""

import onnx_ir as ir

from optkit.quantization.graphs import add_node, all_graphs

CARRIED_THROUGH = frozenset({"MaxPool", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice"})
"""As in its source (qdq_propagation.cc)."""


def move_integers_into_bodies(model: ir.Model) -> None:
    """Place every such DequantizeLinear behind the nodes that would carry it into a branch or loop, in place."""
    for graph in all_graphs(model):
        for node in list(graph):
            while node.op_type == "DequantizeLinear" and (moving := _only_reader(node)) is not None and _leads_into_body(moving):
                node = _behind(node, moving)


def _only_reader(node: ir.Node) -> ir.Node | None:
    """The node that alone reads what another writes, if that only moves values."""
    value = node.outputs[0]
    uses = list(value.uses())
    if len(uses) != 1 or value.is_graph_output():
        return None
    reader, place = uses[0]
    return reader if reader.op_type in CARRIED_THROUGH and place == 0 and reader.graph is node.graph else None


def _leads_into_body(moving: ir.Node) -> bool:
    """Whether what it writes, or what others that only move values make of that, is read inside a branch or loop."""
    written = moving.outputs[0]
    return not written.is_graph_output() and any(
        reader.graph is not moving.graph or (reader.op_type in CARRIED_THROUGH and _leads_into_body(reader))
        for reader in written.consumers()
    )


def _behind(node: ir.Node, moving: ir.Node) -> ir.Node:
    """The DequantizeLinear that stands behind the move in place of the one before it."""
    written = moving.outputs[0]
    kept = {name: attr.value for name, attr in node.attributes.items()}
    made = add_node(moving, "DequantizeLinear", [written, *node.inputs[1:]], f"{written.name}_dequantized", after=True, **kept)
    after = made.outputs[0]
    for reader, place in list(written.uses()):
        if reader is not made:
            reader.replace_input_with(place, after)
    moving.replace_input_with(0, node.inputs[0])
    written.type = None
    return made
