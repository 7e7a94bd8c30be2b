"""Integer matrix products whose activation range is read off each input as it comes: no calibration data, any CPU runtime."""

from collections.abc import Collection, Mapping

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.affine import quantize_weight
from optkit.quantization.graphs import add_node, constant_array, home_of, shared_constant, take_place
from optkit.quantization.operators import attribute, channel_axis, weight_of


def can_be_dynamic(node: ir.Node) -> bool:
    """Matrix products only: ConvInteger runs at a fifth of float's speed in ONNX Runtime."""
    return node.op_type in ("MatMul", "Gemm") and weight_of(node) is not None


def insert_dynamic(graph: ir.Graph, names: Collection[str], weights: Mapping[str, tuple[Array, Array]] | None = None) -> None:
    """Replace the named MatMul and Gemm nodes of `graph` by DynamicQuantizeLinear → MatMulInteger → Cast → Mul, in place.

    This is the form that ONNX Runtime fuses into DynamicQuantizeMatMul (or MatMulIntegerToFloat where several products share
    one input). `weights` may give int8 weights with scales already chosen, by node name.
    """
    inputs: dict[ir.Value, ir.Node] = {}
    for node in [n for n in graph if n.name in names and can_be_dynamic(n)]:
        weight = constant_array(node.inputs[1])
        source = node.inputs[0]
        assert weight is not None
        assert source is not None
        given = (weights or {}).get(str(node.name))
        integers, scale = given if given is not None else quantize_weight(weight, channel_axis(node))
        if node.op_type == "Gemm" and attribute(node, "transB", 0):
            integers = integers.T
        if source not in inputs:
            inputs[source] = add_node(node, "DynamicQuantizeLinear", [source], f"{source.name}_dynamic", outputs=3)
        quantized, input_scale, input_zero = inputs[source].outputs
        name, home = str(node.inputs[1].name), home_of(node.inputs[1], graph)  # type: ignore[union-attr]
        zero = shared_constant(home, f"{name}_zero_point", np.zeros(scale.shape, np.int8))
        product = add_node(
            node,
            "MatMulInteger",
            [quantized, shared_constant(home, f"{name}_int8", integers), input_zero, zero],
            f"{node.outputs[0].name}_int32",
        )
        scales = add_node(node, "Mul", [input_scale, shared_constant(home, f"{name}_scale", scale)], f"{node.outputs[0].name}_scales")
        real = add_node(node, "Cast", [product.outputs[0]], f"{node.outputs[0].name}_cast", to=int(ir.DataType.FLOAT))
        result = add_node(node, "Mul", [real.outputs[0], scales.outputs[0]], f"{node.outputs[0].name}_scaled")
        if node.op_type == "Gemm" and len(node.inputs) > 2 and node.inputs[2] is not None:
            result = add_node(node, "Add", [result.outputs[0], node.inputs[2]], f"{node.outputs[0].name}_biased")
        take_place(node, result.outputs[0])
