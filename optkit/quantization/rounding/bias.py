"""Bias correction: what rounding a layer's weights does to the mean of its outputs is taken back by its bias, at no cost at run time.

Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", section 4.2, with means measured on
calibration examples. Activations after ReLU, GELU and the like are mostly mean, so this is most of the error of 8-bit weights.
"""

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.calibration.means import ChannelMeans
from optkit.quantization.calibration.patch_moments import as_rows
from optkit.quantization.graphs import add_constant, constant_array, constant_tensor
from optkit.quantization.operators import attribute


def correct_bias(
    graph: ir.Graph, node: ir.Node, weight: Array, rounded: Array, means: ChannelMeans, *, activations: bool, patches: Array | None = None
) -> bool:
    """Shift the bias of a Conv, Gemm or MatMul so that its mean output is what it was; returns whether there was a bias to shift.

    `rounded` is the weight that the layer will compute with. With `activations` its input is rounded too.
    `patches` is the mean of what each output is a sum of, [group, K] as in patch_moments: it knows of zeros around a convolution's input.
    """
    seen = means.rounded if activations and means.rounded is not None else means.plain
    if patches is not None:
        rows = as_rows(node, weight.astype(np.float64) - rounded).reshape(len(patches), -1, patches.shape[-1])
        shift = np.einsum("gok,gk->go", rows, patches).ravel() + mean_output(node, rounded, means.plain - seen)
    else:
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


def can_shift(node: ir.Node) -> bool:
    """Whether `correct_bias` has a bias to shift."""
    if node.op_type == "MatMul":
        return _added_to(node) is not None
    return node.op_type in ("Conv", "Gemm") and (
        len(node.inputs) < 3 or node.inputs[2] is None or constant_tensor(node.inputs[2]) is not None
    )


def _added_to(node: ir.Node) -> tuple[ir.Node, int] | None:
    """The Add of a constant per output that alone reads a MatMul, and the constant's place."""
    readers, weight = node.outputs[0].consumers(), constant_tensor(node.inputs[1])
    if len(readers) != 1 or readers[0].op_type != "Add" or node.outputs[0].is_graph_output() or weight is None:
        return None
    for place, value in enumerate(readers[0].inputs):
        tensor = constant_tensor(value)
        if tensor is not None and tuple(tensor.shape.numpy()) == (weight.shape.numpy()[-1],):
            return readers[0], place
    return None


def _shift_following_add(graph: ir.Graph, node: ir.Node, shift: Array) -> bool:
    found = _added_to(node)
    if found is None:
        return False
    add, place = found
    value, held = add.inputs[place], constant_array(add.inputs[place])
    assert value is not None
    assert held is not None
    add.replace_input_with(place, add_constant(graph, f"{value.name}_corrected", (held + shift).astype(np.float32)))
    return True
