"""Bias correction: what rounding a layer's weights does to the mean of its outputs is taken back by its bias, at no cost at run time.

Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", section 4.2, with means measured on
calibration examples. Activations after ReLU, GELU and the like are mostly mean, so this is most of the error of 8-bit weights.
"""

from typing import Any

import numpy as np
import onnx_ir as ir

from optkit.quantization.graphs import add_constant, constant_array, constant_tensor
from optkit.quantization.means import ChannelMeans
from optkit.quantization.operators import attribute

Array = np.ndarray[Any, np.dtype[Any]]


def correct_bias(graph: ir.Graph, node: ir.Node, weight: Array, rounded: Array, means: ChannelMeans, *, activations: bool) -> bool:
    """Shift the bias of a Conv, Gemm or MatMul so that its mean output is what it was; returns whether there was a bias to shift.

    `rounded` is the weight that the layer will compute with. With `activations` its input is rounded too.
    """
    seen = means.rounded if activations and means.rounded is not None else means.plain
    shift = mean_output(node, weight, means.plain) - mean_output(node, rounded, seen)
    if not np.isfinite(shift).all():
        return False
    if node.op_type == "MatMul":
        return _shift_following_add(graph, node, shift)
    held = constant_array(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] is not None else None
    if held is None and len(node.inputs) > 2 and node.inputs[2] is not None:
        return False
    name = str(node.inputs[2].name) if held is not None else f"{node.outputs[0].name}_bias"  # type: ignore[union-attr]
    corrected = (shift if held is None else held + shift).astype(np.float32)
    if len(node.inputs) < 3:
        node.resize_inputs(3)
    node.replace_input_with(2, add_constant(graph, f"{name}_corrected", corrected))
    return True


def mean_output(node: ir.Node, weight: Array, means: Array) -> Array:
    """Mean of every output channel before the bias, borders of convolutions taken as inner positions; float64."""
    kernel = weight.astype(np.float64)
    if node.op_type == "MatMul":
        return np.asarray(means @ kernel)
    if node.op_type == "Gemm":
        return np.asarray(kernel @ means if attribute(node, "transB", 0) else means @ kernel)
    groups = int(attribute(node, "group", 1))
    taps = kernel.reshape(groups, kernel.shape[0] // groups, kernel.shape[1], -1).sum(axis=-1)
    return np.asarray(np.einsum("goi,gi->go", taps, means.reshape(groups, -1)).ravel())


def _shift_following_add(graph: ir.Graph, node: ir.Node, shift: Array) -> bool:
    readers = node.outputs[0].consumers()
    if len(readers) != 1 or readers[0].op_type != "Add" or node.outputs[0].is_graph_output():
        return False
    add = readers[0]
    for place, value in enumerate(add.inputs):
        tensor = constant_tensor(value)
        if tensor is not None and value is not None and tuple(tensor.shape.numpy()) == shift.shape:
            add.replace_input_with(place, add_constant(graph, f"{value.name}_corrected", (tensor.numpy() + shift).astype(np.float32)))
            return True
    return False
