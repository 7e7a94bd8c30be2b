"""The same quantized graph with other integer types: rewrites of ONNX models that compute with U8S8 (uint8 activations, int8 weights).

S8S8 and U8U8 shift values and zero points by 128, which changes no number; what changes is the kernel that ONNX Runtime takes.
"""

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

INTEGER_PRODUCTS = ("MatMulInteger", "ConvInteger")
"""Read weights as input 1, and their zero point as input 3."""

CONSTANTS_OF_BYTES = {"Clip": 1, "Pad": 2}
"""Operators on bytes, as a HardSigmoid in integers and channels of zeros have them: from which input on they read bytes too."""


class _Constants:
    """A graph's initializers, and new ones for shifted copies."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.found = {tensor.name: tensor for tensor in graph.initializer}
        self.copies: dict[str, str] = {}

    def is_of(self, name: str, kind: int) -> bool:
        return name in self.found and self.found[name].data_type == kind

    def shifted(self, name: str, by: int) -> str:
        """The name of a copy whose values are `by` higher, in the other 8-bit type."""
        if name not in self.copies:
            kind = np.int8 if by < 0 else np.uint8
            array = numpy_helper.to_array(self.found[name]).astype(np.int16) + by
            self.copies[name] = f"{name}_shifted"
            self.graph.initializer.append(numpy_helper.from_array(array.astype(kind), self.copies[name]))
        return self.copies[name]

    def is_even(self, name: str) -> bool:
        """Whether it is a vector of equal numbers."""
        tensor = self.found.get(name)
        return tensor is not None and len(tensor.dims) == 1 and len(set(numpy_helper.to_array(tensor).tolist())) == 1

    def make_single(self, names: Iterable[str]) -> None:
        """Replace vectors of equal numbers by one number."""
        for name in filter(self.is_even, names):
            tensor = self.found[name]
            tensor.CopyFrom(numpy_helper.from_array(np.asarray(numpy_helper.to_array(tensor)[0]), name))


def with_signed_activations(model: onnx.ModelProto) -> onnx.ModelProto:
    """S8S8: every uint8 Q/DQ pair of the main graph, and every uint8 constant, becomes int8."""
    made = _copied(model)
    constants, moved = _Constants(made.graph), set()
    for node in made.graph.node:
        if node.op_type == "QuantizeLinear" and constants.is_of(node.input[2], TensorProto.UINT8):
            node.input[2] = constants.shifted(node.input[2], -128)
            moved.add(node.output[0])
    for node in made.graph.node:
        if node.op_type in CONSTANTS_OF_BYTES and node.input[0] in moved:
            bounds = CONSTANTS_OF_BYTES[node.op_type]
            node.input[bounds:] = [name and constants.shifted(name, -128) for name in node.input[bounds:]]
            moved.add(node.output[0])
        if node.op_type != "DequantizeLinear" or len(node.input) < 3 or not constants.is_of(node.input[2], TensorProto.UINT8):
            continue
        if constants.is_of(node.input[0], TensorProto.UINT8):
            node.input[0] = constants.shifted(node.input[0], -128)
        elif node.input[0] not in moved:
            continue
        node.input[2] = constants.shifted(node.input[2], -128)
    return made


def with_unsigned_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """U8U8: int8 weights behind DequantizeLinear or read by integer products of the main graph become uint8."""
    made = _copied(model)
    constants = _Constants(made.graph)
    for node in made.graph.node:
        if node.op_type == "DequantizeLinear":
            places = (0, 2)
        elif node.op_type in INTEGER_PRODUCTS:
            places = (1, 3)
        else:
            continue
        if len(node.input) > places[1] and all(constants.is_of(node.input[i], TensorProto.INT8) for i in places):
            for i in places:
                node.input[i] = constants.shifted(node.input[i], 128)
    return made


def with_single_scales(model: onnx.ModelProto) -> onnx.ModelProto:
    """Vectors of equal scales of weights become one number, so that ONNX Runtime sees weights per tensor."""
    made = _copied(model)
    constants = _Constants(made.graph)
    makers = {name: node for node in made.graph.node for name in node.output}
    for node in made.graph.node:
        if node.op_type == "DequantizeLinear" and len(node.input) > 2 and constants.is_even(node.input[1]):
            constants.make_single(node.input[1:3])
            for attribute in [a for a in node.attribute if a.name == "axis"]:
                node.attribute.remove(attribute)
        if node.op_type in INTEGER_PRODUCTS and len(node.input) > 3:
            constants.make_single(node.input[3:4])
        if node.op_type == "Mul" and any(_is_scale(makers.get(name)) for name in node.input):
            constants.make_single([name for name in node.input if constants.is_even(name)])
    return made


def _is_scale(node: onnx.NodeProto | None) -> bool:
    """Whether a node finds the scale of an activation: what is multiplied with that is the scale of a weight."""
    return node is not None and node.op_type == "DynamicQuantizeLinear"


def _copied(model: onnx.ModelProto) -> onnx.ModelProto:
    made = onnx.ModelProto()
    made.CopyFrom(model)
    return made
