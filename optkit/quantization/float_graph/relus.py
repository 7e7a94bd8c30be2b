"""A Relu or Clip behind a Concat of convolutions, taken to each: there it is a part of the convolution, in floats and in integers."""

import onnx_ir as ir

from optkit.quantization.graphs import add_node, all_graphs, constant_tensor, take_place
from optkit.quantization.operators import FUSED_ACTIVATIONS, is_standard, weight_of


def take_relus_forward(model: ir.Model) -> int:
    """Move every such activation in front of its Concat, in place; returns how many."""
    return sum(_move(node) for graph in all_graphs(model) for node in list(graph))


def _move(node: ir.Node) -> bool:
    if not is_standard(node) or node.op_type not in FUSED_ACTIVATIONS or node.inputs[0] is None:
        return False
    concat, bounds = node.inputs[0].producer(), node.inputs[1:]
    if concat is None or concat.op_type != "Concat" or not is_standard(concat) or not _read_once(concat.outputs[0], node):
        return False
    if any(bound is not None and constant_tensor(bound) is None for bound in bounds):
        return False
    makers = [value.producer() if value is not None else None for value in concat.inputs]
    if any(m is None or m.op_type != "Conv" or weight_of(m) is None or not _read_once(m.outputs[0], concat) for m in makers):
        return False
    for place, value in enumerate(concat.inputs):
        assert value is not None
        made = add_node(concat, node.op_type, [value, *bounds], f"{value.name}_active")
        made.outputs[0].type, made.outputs[0].shape = value.type, value.shape
        concat.replace_input_with(place, made.outputs[0])
    take_place(node, concat.outputs[0])
    return True


def _read_once(value: ir.Value, reader: ir.Node) -> bool:
    """Whether a node of the same graph reads a tensor at one place, and nothing else does."""
    uses = list(value.uses())
    return len(uses) == 1 and uses[0].node is reader and reader.graph is value.producer().graph and not value.is_graph_output()  # type: ignore[union-attr]
