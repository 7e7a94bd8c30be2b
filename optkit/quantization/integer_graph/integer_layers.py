"""Layers of an already quantized graph whose integers can be decided anew: Q/DQ around a Conv, Gemm or MatMul, and MatMulInteger."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.graphs import constant_array
from optkit.quantization.operators import channel_axis


@dataclass(frozen=True)
class IntegerLayer:
    """One layer; its parts are initializers of the graph."""

    node: ir.Node
    source: str
    """The float tensor that it reads: dequantized, or what is rounded as it comes."""
    rounds_input: bool
    output: str
    """What it gives before any activation; a bias of an Add behind it is not in it."""
    weight: ir.Value
    """int8, symmetric."""
    scale: Array
    """float32, one per output channel."""
    bias: ir.Value | None
    bias_scale: Array | None
    """Of an integer bias; None where the bias is float."""
    biased: str | None = None
    """What the Add behind it gives, where that holds its bias."""

    @property
    def axis(self) -> int:
        """Of the output channels in the weight."""
        return 1 if self.node.op_type == "MatMulInteger" else channel_axis(self.node)

    def integers(self) -> Array:
        """The weight's."""
        held = constant_array(self.weight)
        assert held is not None
        return held


def integer_layers(model: ir.Model) -> list[IntegerLayer]:
    """Those of the main graph, in order; weights and biases that other nodes share are left out."""
    found = [_dynamic(n) if n.op_type == "MatMulInteger" else _between_pairs(n) for n in model.graph]
    return [layer for layer in found if layer is not None]


def _between_pairs(node: ir.Node) -> IntegerLayer | None:
    if node.op_type not in ("Conv", "Gemm", "MatMul") or node.inputs[0] is None:
        return None
    weight = _integers(node.inputs[1], np.int8)
    source = node.inputs[0].producer()
    if weight is None or source is None or source.op_type != "DequantizeLinear":
        return None
    value, scale = weight
    count = _shape(value)[channel_axis(node)]
    if scale.size not in (1, count):
        return None
    bias, bias_scale = None, None
    if node.op_type == "MatMul":
        bias = _added(node.outputs[0], count)
    elif len(node.inputs) > 2 and node.inputs[2] is not None:
        held = _integers(node.inputs[2], np.int32)
        bias, bias_scale = held if held is not None else (_own(node.inputs[2]), None)
    return IntegerLayer(
        node,
        str(node.inputs[0].name),
        False,
        str(node.outputs[0].name),
        value,
        np.broadcast_to(scale, (count,)),
        bias,
        bias_scale,
        _biased(node.outputs[0], bias) if node.op_type == "MatMul" else None,
    )


def _dynamic(node: ir.Node) -> IntegerLayer | None:
    rounding, weight = node.inputs[0].producer() if node.inputs[0] is not None else None, _own(node.inputs[1])
    if rounding is None or rounding.op_type != "DynamicQuantizeLinear" or weight is None or rounding.inputs[0] is None:
        return None
    held = constant_array(weight)
    zero = constant_array(node.inputs[3]) if len(node.inputs) > 3 else None
    if held is None or held.dtype != np.int8 or held.ndim != 2 or (zero is not None and zero.any()):
        return None
    cast = _only_reader(node.outputs[0], "Cast")
    scaled = _only_reader(cast.outputs[0], "Mul") if cast is not None else None
    if cast is None or scaled is None:
        return None
    scales = next(v for v in scaled.inputs if v is not cast.outputs[0])
    product = scales.producer() if scales is not None else None
    if product is None or product.op_type != "Mul":
        return None
    scale = next((a for a in map(constant_array, product.inputs) if a is not None), None)
    if scale is None or scale.size not in (1, held.shape[1]):
        return None
    result, count = scaled.outputs[0], held.shape[1]
    bias = _added(result, count)
    each = np.broadcast_to(scale.reshape(-1), (count,))
    return IntegerLayer(node, str(rounding.inputs[0].name), True, str(result.name), weight, each, bias, None, _biased(result, bias))


def _integers(value: ir.Value | None, kind: Any) -> tuple[ir.Value, Array] | None:
    """The integers behind a DequantizeLinear of a constant, and their scales, where zero stands for zero."""
    node = value.producer() if value is not None else None
    if node is None or node.op_type != "DequantizeLinear" or len(node.outputs[0].uses()) != 1:
        return None
    held, scale, own = constant_array(node.inputs[0]), constant_array(node.inputs[1]), _own(node.inputs[0])
    zero = constant_array(node.inputs[2]) if len(node.inputs) > 2 else None
    if held is None or scale is None or own is None or held.dtype != kind or (zero is not None and zero.any()):
        return None
    return own, scale.reshape(-1)


def _added(value: ir.Value, count: int) -> ir.Value | None:
    """The constant per channel that an Add alone adds to a tensor."""
    add = _only_reader(value, "Add")
    found = [v for v in add.inputs if v is not None and v is not value] if add is not None else []
    return _own(found[0]) if found and constant_array(found[0]) is not None and _shape(found[0]) == (count,) else None


def _biased(value: ir.Value, bias: ir.Value | None) -> str | None:
    return str(value.consumers()[0].outputs[0].name) if bias is not None else None


def _own(value: ir.Value | None) -> ir.Value | None:
    """An initializer that one node reads."""
    return value if value is not None and value.is_initializer() and not value.is_graph_input() and len(value.uses()) == 1 else None


def _only_reader(value: ir.Value, operator: str) -> ir.Node | None:
    readers = value.consumers()
    return readers[0] if len(readers) == 1 and readers[0].op_type == operator and not value.is_graph_output() else None


def _shape(value: ir.Value) -> tuple[int, ...]:
    held = constant_array(value)
    return () if held is None else held.shape
