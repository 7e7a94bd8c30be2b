"""A matrix product and the constant added to it as one Gemm, where the input is a matrix: ONNX Runtime does so itself, in float.

Quantized around the two it would leave a float Gemm; quantized as one it computes in integers, bias included.
"""

import onnx_ir as ir

from optkit.quantization.graphs import add_node, all_graphs, constant_tensor, graph_of, prune_unused, take_place
from optkit.quantization.operators import is_standard


def join_products(model: ir.Model) -> int:
    """Turn every MatMul of a matrix with constant weights, whose one reader adds a constant per column, into a Gemm; returns how many."""
    done = sum(_join(node) for graph in all_graphs(model) for node in list(graph))
    if done:
        prune_unused(model)
    return done


def _join(node: ir.Node) -> bool:
    if not is_standard(node) or node.op_type != "MatMul" or node.outputs[0].is_graph_output():
        return False
    weight, uses = constant_tensor(node.inputs[1]), list(node.outputs[0].uses())
    source = node.inputs[0]
    if weight is None or len(weight.shape) != 2 or weight.dtype != ir.DataType.FLOAT or len(uses) != 1:
        return False
    if source is None or source.shape is None or len(source.shape) != 2 or constant_tensor(source) is not None:
        return False
    add = uses[0].node
    if add.op_type != "Add" or not is_standard(add) or add.graph is not node.graph:
        return False
    bias = add.inputs[1 - uses[0].idx]
    added = constant_tensor(bias)
    columns = weight.shape[1]
    if added is None or added.dtype != ir.DataType.FLOAT or tuple(added.shape) not in ((columns,), (1, columns)):
        return False
    gemm = add_node(node, "Gemm", [source, node.inputs[1], bias], f"{add.outputs[0].name}_joined")
    gemm.name, node.name = node.name, gemm.name
    take_place(add, gemm.outputs[0])
    graph_of(node).remove(node, safe=True)
    return True
