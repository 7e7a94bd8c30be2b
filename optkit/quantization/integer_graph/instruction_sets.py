"""On which instruction sets a quantized file gives the same answers, read off the weights that are in it."""

import numpy as np
import onnx_ir as ir

from optkit.quantization.graphs import all_graphs, constant_array
from optkit.quantization.integer_graph.saturation import worst_pair_sums
from optkit.quantization.operators import is_standard

EVERY_X86 = "x86-64"
"""SSE2 and VNNI add in 32 bits, SSE4.1, AVX2 and AVX-512 without VNNI in pairs of 16."""
ONLY_VNNI = "x86-64 with VNNI"
ARM = "arm64"
"""Pairs of int8 × int8 products in 16 bits, which fit unless a weight is -128."""
MAY_ROUND = 4
"""MatMulNBits' accuracy level at which activations become int8."""
INTEGER_READERS = {"MatMulInteger": (1,), "MatMulIntegerToFloat": (1,), "DynamicQuantizeMatMul": (1,), "DynamicQuantizeLSTM": (1, 2)}
"""Operators whose inputs at these places are matrices of integers, [..., length of the sum, outputs]."""
FLOAT_READERS = frozenset({"Conv", "Gemm", "MatMul"})
"""Compute in integers where both their inputs come from DequantizeLinear."""


def safe_on(model: ir.Model) -> tuple[str, ...]:
    """Instruction sets on which the integer layers of a model compute exactly, whatever its input, by ONNX Runtime's CPU kernels."""
    x86 = ONLY_VNNI if overflowing(model) else EVERY_X86
    return (x86,) if _rounds_by_machine(model) else (x86, ARM)


def _rounds_by_machine(model: ir.Model) -> bool:
    """Whether weights in groups let the kernel round activations: all x86 kernels do so alike, not all of ARM's round at all."""
    return any(
        node.op_type == "MatMulNBits" and node.attributes.get_int("accuracy_level", 0) == MAY_ROUND
        for graph in all_graphs(model)
        for node in graph
    )


def overflowing(model: ir.Model) -> list[str]:
    """Names of the layers in which a sum of two products can leave 16 bits, in the order of the graphs."""
    return [str(node.name) for graph in all_graphs(model) for node in graph if any(_overflows(node, w) for w in _integer_weights(node))]


def _overflows(node: ir.Node, weight: ir.Value | None) -> bool:
    integers = constant_array(weight)
    if integers is None or integers.dtype != np.int8:
        return False
    if node.op_type != "Conv" and integers.ndim > 2:  # a stack of matrices: all their columns side by side
        integers = np.moveaxis(integers, -2, 0).reshape(integers.shape[-2], -1)
    high, low = worst_pair_sums(node, integers)
    return bool(high.max(initial=0) > np.iinfo(np.int16).max or low.min(initial=0) < np.iinfo(np.int16).min)


def _integer_weights(node: ir.Node) -> list[ir.Value | None]:
    """The 8-bit weights that a node multiplies 8-bit activations by."""
    if node.op_type in INTEGER_READERS:
        return [node.inputs[place] for place in INTEGER_READERS[node.op_type] if place < len(node.inputs)]
    if is_standard(node) and node.op_type in FLOAT_READERS and len(node.inputs) > 1:
        makers = [v.producer() if v is not None else None for v in node.inputs[:2]]
        if all(m is not None and m.op_type == "DequantizeLinear" for m in makers) and makers[1] is not None:
            return [makers[1].inputs[0]]
    return []
