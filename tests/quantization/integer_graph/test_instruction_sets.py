from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper, parser

from optkit.quantization.integer_graph.instruction_sets import overflowing, safe_on

EVERYWHERE, VNNI = ("x86-64", "arm64"), ("x86-64 with VNNI", "arm64")


def model(body: str, **constants: Any) -> ir.Model:
    proto = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> g {body}')
    proto.graph.initializer.extend(numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items())
    return ir.serde.deserialize_model(proto)


DYNAMIC = "(uint8[N,2] x) => (int32[N,1] y) { [integer] y = MatMulInteger(x, w) }"
STATIC = """(uint8[N,2] x) => (float[N,1] y) {
    a = DequantizeLinear(x, s) b = DequantizeLinear(w, s) [static] y = MatMul(a, b) }"""
STORED = "(float[N,2] x) => (float[N,1] y) { b = DequantizeLinear(w, s) y = MatMul(x, b) }"
UNSIGNED = "(uint8[N,2] x) => (int32[N,1] y) { [integer] y = MatMulInteger(x, w) }"


@pytest.mark.parametrize(("body", "name"), [(DYNAMIC, "integer"), (STATIC, "static")])
def test_weights_decide(body: str, name: str) -> None:
    largest = np.array([[127], [1]], np.int8)
    assert safe_on(model(body, w=largest, s=np.float32(1))) == EVERYWHERE
    for over in ([[127], [2]], [[-127], [-2]]):
        made = model(body, w=np.array(over, np.int8), s=np.float32(1))
        assert overflowing(made) == [name]
        assert safe_on(made) == VNNI
    assert safe_on(model(body, w=np.array([[127], [-127]], np.int8), s=np.float32(1))) == EVERYWHERE


def test_what_computes_in_float_or_on_unsigned_weights_is_safe() -> None:
    assert safe_on(model(STORED, w=np.array([[127], [127]], np.int8), s=np.float32(1))) == EVERYWHERE
    assert safe_on(model(UNSIGNED, w=np.array([[255], [255]], np.uint8))) == EVERYWHERE


def test_recurrent_weights_are_looked_at_in_every_direction() -> None:
    proto = parser.parse_model("""<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]> g (float[T,N,2] x) => (float[T,2,N,1] y) {
        [lstm] y = com.microsoft.DynamicQuantizeLSTM <hidden_size: int = 1, direction: string = "bidirectional"> (x, w, r) }""")
    weight, recurrent = np.full((2, 2, 4), 64, np.int8), np.full((2, 1, 4), 127, np.int8)
    for largest, found in ((64, []), (65, ["lstm"])):
        weight[1, 1, 3] = largest
        made = onnx.ModelProto()
        made.CopyFrom(proto)
        made.graph.initializer.extend([numpy_helper.from_array(weight, "w"), numpy_helper.from_array(recurrent, "r")])
        assert overflowing(ir.serde.deserialize_model(made)) == found


def test_stacked_matrices_and_branches_are_looked_at_too() -> None:
    stack = np.zeros((3, 2, 4), np.int8)
    stack[2, :, 1] = 100
    body = "(uint8[3,N,2] x) => (int32[3,N,4] y) { [stack] y = MatMulInteger(x, w) }"
    assert overflowing(model(body, w=stack)) == ["stack"]
    inner = model(DYNAMIC, w=np.array([[127], [127]], np.int8))
    branch = onnx.GraphProto()
    branch.CopyFrom(ir.serde.serialize_model(inner).graph)
    del branch.input[:]
    outer = parser.parse_model('<ir_version: 8, opset_import: ["" : 17]> g (bool c, uint8[N,2] x) => (int32[N,1] z) { z = Identity(c) }')
    del outer.graph.node[:]
    outer.graph.node.append(helper.make_node("If", ["c"], ["z"], then_branch=branch, else_branch=branch))
    assert overflowing(ir.serde.deserialize_model(outer)) == ["integer", "integer"]
