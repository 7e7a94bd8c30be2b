"""Which operators integers can compute, and in which shapes: what their time in INT8 depends on."""

from collections.abc import Iterator, Mapping, Sequence
from math import prod

import onnx

from optkit.inspection.under_roof import Kernel
from optkit.inspection.values import Value
from optkit.inspection.walk import Visit

FLOAT = onnx.TensorProto.FLOAT
CONVOLUTION = ("strides", "pads", "dilations", "group", "auto_pad")
PASSED = frozenset({"Identity", "BatchNormalization", "Relu", "Clip", "Dropout"})
"""They go into the convolution before them."""
IN_INTEGERS = frozenset(
    [
        *("Conv", "MatMul", "Gemm", "Add", "Mul", "Concat", "Split", "Slice", "Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze"),
        *("MaxPool", "AveragePool", "GlobalAveragePool", "Resize", "Sigmoid", "LeakyRelu", "Pad", "Gather", "Shape"),
        *("QuantizeLinear", "DequantizeLinear"),
    ]
)
"""The runtime has integer kernels for them, or they only move values."""


def kernel_of(visit: Visit) -> Kernel | None:
    """What integers could compute of a node; None where it is nothing, or where shapes are not known."""
    node, shapes = visit.node, [_dims(value) for value in visit.inputs]
    if not shapes or shapes[0] is None or not _is_stored(visit.inputs[1:2]):
        return None
    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    weight = shapes[1]
    if node.op_type == "Conv" and weight is not None and len(weight) in (3, 4):
        kept = tuple((name, _plain(attributes[name])) for name in CONVOLUTION if name in attributes)
        return Kernel("Conv", shapes[0], (weight,), kept)
    if node.op_type in ("MatMul", "Gemm") and weight is not None and len(weight) == 2 and not attributes.get("transA"):
        depth, width = reversed(weight) if attributes.get("transB") else weight
        return Kernel("MatMul", (prod(shapes[0][:-1]), depth), ((depth, width),))
    if node.op_type == "LSTM" and weight is not None and len(shapes) > 2 and shapes[2] is not None:
        return Kernel("LSTM", shapes[0], (weight, shapes[2]))
    return None


def crossings(visits: Sequence[Visit]) -> dict[int, int]:
    """Place of a convolution → values of its output that an operator without integer kernels takes."""
    takers: dict[str, list[Visit]] = {}
    for visit in visits:
        for name in visit.node.input:
            takers.setdefault(name, []).append(visit)
    found = {}
    for place, visit in enumerate(visits):
        if visit.node.op_type == "Conv" and any(taker.node.op_type not in IN_INTEGERS for taker in _takers(visit, takers)):
            found[place] = visit.outputs[0].elements or 0
    return found


def _takers(visit: Visit, takers: Mapping[str, Sequence[Visit]], deep: int = 8) -> Iterator[Visit]:
    for name in visit.node.output:
        for taker in takers.get(name, ()):
            if taker.node.op_type in PASSED and deep:
                yield from _takers(taker, takers, deep - 1)
            else:
                yield taker


def _is_stored(weights: Sequence[Value | None]) -> bool:
    return bool(weights) and weights[0] is not None and weights[0].constant and weights[0].type.tensor_type.elem_type == FLOAT


def _dims(value: Value | None) -> tuple[int, ...] | None:
    dims = None if value is None else value.dims
    return None if dims is None or any(size is None or size < 1 for size in dims) else tuple(int(size or 0) for size in dims)


def _plain(value: object) -> tuple[int, ...] | int | str:
    if isinstance(value, bytes):
        return value.decode()
    return tuple(int(each) for each in value) if isinstance(value, Sequence) else int(value)  # type: ignore[call-overload]
