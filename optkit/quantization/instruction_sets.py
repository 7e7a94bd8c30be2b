"""On which instruction sets a quantized file gives the same answers, read off the weights that are in it."""

import numpy as np
import onnx_ir as ir

from optkit.quantization.graphs import all_graphs, constant_array
from optkit.quantization.operators import is_standard
from optkit.quantization.saturation import worst_pair_sums

EVERY_X86 = "x86-64"
"""SSE2 and VNNI add in 32 bits, SSE4.1, AVX2 and AVX-512 without VNNI in pairs of 16."""
ONLY_VNNI = "x86-64 with VNNI"
ARM = "arm64"
"""Pairs of int8 × int8 products in 16 bits, which fit unless a weight is -128."""
FLOAT_READERS = frozenset({"Conv", "Gemm", "MatMul"})
"""Compute in integers where both their inputs come from DequantizeLinear."""


def safe_on(model: ir.Model) -> tuple[str, ...]:
    """Instruction sets on which the integer layers of a model compute exactly, whatever its input, by ONNX Runtime's CPU kernels."""
    return (ONLY_VNNI if overflowing(model) else EVERY_X86, ARM)


def overflowing(model: ir.Model) -> list[str]:
    """Names of the layers in which a sum of two products can leave 16 bits, in the order of the graphs."""
    found = []
    for graph in all_graphs(model):
        for node in graph:
            integers = constant_array(_integer_weight(node))
            if integers is None or integers.dtype != np.int8:
                continue
            if node.op_type != "Conv" and integers.ndim > 2:  # a stack of matrices: all their columns side by side
                integers = np.moveaxis(integers, -2, 0).reshape(integers.shape[-2], -1)
            high, low = worst_pair_sums(node, integers)
            if high.max(initial=0) > np.iinfo(np.int16).max or low.min(initial=0) < np.iinfo(np.int16).min:
                found.append(str(node.name))
    return found


def _integer_weight(node: ir.Node) -> ir.Value | None:
    """The 8-bit weight that a node multiplies 8-bit activations by, if it does."""
    if not is_standard(node) or len(node.inputs) < 2:
        return None
    if node.op_type == "MatMulInteger":
        return node.inputs[1]
    if node.op_type in FLOAT_READERS:
        makers = [v.producer() if v is not None else None for v in node.inputs[:2]]
        if all(m is not None and m.op_type == "DequantizeLinear" for m in makers) and makers[1] is not None:
            return makers[1].inputs[0]
    return None
