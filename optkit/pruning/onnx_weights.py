"""Weights of an ONNX model that may become 0, as arrays, and put back: no PyTorch is needed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.pruning.patterns import matched
from optkit.pruning.zeros import Mask
from optkit.quantization.operators import is_standard

FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE)


@dataclass(frozen=True)
class Weight:
    """An initializer that a matrix product or a convolution multiplies with."""

    value: ir.Value
    axis: int
    """The axis that the inputs lie on."""

    @property
    def array(self) -> Array:
        assert self.value.const_value is not None
        return np.asarray(self.value.const_value.numpy())


def weights_in(model: ir.Model, exclude: Sequence[str] = ()) -> dict[str, Weight]:
    """Name of the initializer → weight, of Conv, ConvTranspose, Gemm and MatMul, in branches and loop bodies too.

    `exclude` has patterns of node names, initializer names or operators. Raises UsageError for one that matches nothing.
    """
    nodes = [node for graph in model.graphs() for node in graph if is_standard(node)]
    found, named, users = dict[str, Weight](), dict[str, str](), dict[str, set[str]]()
    for number, node in enumerate(nodes):
        axis = _input_axis(node)
        value = node.inputs[1] if axis is not None and len(node.inputs) > 1 else None
        if axis is None or value is None or value.name is None or not _is_weight(value):
            continue
        place = node.name or f"{node.op_type}_{number}"
        named |= {place: node.op_type, value.name: node.op_type}
        users.setdefault(value.name, {value.name}).add(place)
        found[value.name] = Weight(value, axis)
    left = matched(exclude, named)
    return {name: weight for name, weight in found.items() if not users[name] & left}


def put_zeros(weights: Mapping[str, Weight], masks: Mapping[str, Mask]) -> None:
    """Set what a mask leaves out to 0."""
    for name, mask in masks.items():
        weight = weights[name]
        array = weight.array
        weight.value.const_value = ir.tensor(np.where(mask, array, np.zeros((), array.dtype)), name=name)


def _is_weight(value: ir.Value) -> bool:
    tensor = value.const_value
    return value.is_initializer() and tensor is not None and tensor.dtype in FLOATS and len(tensor.shape) >= 2


def _input_axis(node: ir.Node) -> int | None:
    if node.op_type == "Gemm":
        return 1 if node.attributes.get_int("transB", 0) else 0
    return {"Conv": 1, "ConvTranspose": 0, "MatMul": -2}.get(node.op_type)
