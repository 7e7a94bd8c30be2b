"""Models that are quantized already, whether or not an operator says so, and models in half precision."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from optkit.quantization.recognise import already_quantized, half_precision

from .tiny import draw, read

INTEGERS = np.ones((40, 40), np.int8)


def spoken(op_type: str, domain: str = "") -> ir.Model:
    """A model with one node of that operator in a branch."""
    model = read(
        """(bool k, float[4] x) => (float[4] y) {
            y = If (k) < then_branch = t () => (float[4] p) { p = Neg(x) }, else_branch = e () => (float[4] q) { q = Abs(x) } > }"""
    )
    graph = next(iter(model.graph.subgraphs()))
    graph[0].op_type, graph[0].domain = op_type, domain
    return model


@pytest.mark.parametrize(
    "op_type",
    ["QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger", "QLinearConv", "QLinearMatMul"],
)
def test_standard_operators(op_type: str) -> None:
    assert already_quantized(spoken(op_type)) == f"it is quantized already: it has {op_type}"


@pytest.mark.parametrize("op_type", ["QGemm", "QLinearAdd", "DynamicQuantizeMatMul", "MatMulNBits", "QAttention", "GatherBlockQuantized"])
def test_operators_of_onnx_runtime(op_type: str) -> None:
    assert already_quantized(spoken(op_type, "com.microsoft")) == f"it is quantized already: it has {op_type}"


def test_all_operators_are_named_in_order() -> None:
    model = read(
        "(float[4] x) => (float[4] y) { q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) }", s=0.1, z=np.array(0, np.uint8)
    )
    assert already_quantized(model) == "it is quantized already: it has DequantizeLinear, QuantizeLinear"


@pytest.mark.parametrize("kind", [np.int8, np.uint8])
def test_integers_behind_cast_and_mul(kind: type[Any]) -> None:
    model = read(
        "(float[N,40] x) => (float[N,40] y) { f = Cast<to=1>(w) r = Mul(f, s) y = MatMul(x, r) }", w=INTEGERS.astype(kind), s=draw(40)
    )
    assert (
        already_quantized(model)
        == "its weights are 8-bit integers already (100% of the bytes), turned into floats by Cast and Mul when it loads"
    )


def test_integers_in_constant_nodes_of_a_branch() -> None:
    model = read(
        """(bool k, float[40] x) => (float[40] y) {
            y = If (k) < then_branch = t () => (float[40] p) { f = Cast<to=1>(w) p = MatMul(x, f) },
                         else_branch = e () => (float[40] q) { q = Abs(x) } > }""",
        w=INTEGERS,
    )
    graph = next(iter(model.graph.subgraphs()))
    node = ir.node("Constant", [], {"value": ir.tensor(INTEGERS)})
    graph.insert_before(graph[0], node)
    graph[1].replace_input_with(0, node.outputs[0])
    del model.graph.initializers["w"]
    assert already_quantized(model) is not None


@pytest.mark.parametrize(
    ("graph", "weights"),
    [
        ("(float[N,40] x) => (float[N,40] y) { y = MatMul(x, w) }", {"w": draw(40, 40)}),
        # a byte table that is looked up, and pixels that are cast
        ("(int64[1] i) => (int8[1,40] y) { y = Gather(t, i) }", {"t": INTEGERS}),
        ("(uint8[N,40] x) => (float[N,40] y) { f = Cast<to=1>(x) y = MatMul(f, w) }", {"w": draw(40, 40)}),
        # a small share of the bytes
        ("(float[N,40] x) => (float[N,40] y) { f = Cast<to=1>(t) m = MatMul(x, w) y = MatMul(m, f) }", {"t": INTEGERS, "w": draw(40, 40)}),
    ],
)
def test_float_models(graph: str, weights: dict[str, Any]) -> None:
    model = read(graph, **weights)
    assert already_quantized(model) is None
    assert not half_precision(model)


def test_half_precision_is_where_most_bytes_are() -> None:
    graph = "(float16[N,40] x) => (float16[N,40] y) { y = MatMul(x, w) }"
    assert half_precision(read(graph, w=draw(40, 40).astype(np.float16)))
    mixed = "(float16[N,40] x) => (float[N,40] y) { h = MatMul(x, w) f = Cast<to=1>(h) m = MatMul(f, v) y = MatMul(m, v) }"
    assert not half_precision(read(mixed, w=draw(40, 40).astype(np.float16), v=draw(40, 40)))
    brain = read("(float[N,40] x) => (float[N,40] y) { f = Cast<to=1>(w) y = MatMul(x, f) }", w=draw(40, 40))
    value = brain.graph.initializers["w"]
    assert value.const_value is not None
    value.const_value = ir.tensor(value.const_value.numpy().view(np.uint16)[:, ::2], dtype=ir.DataType.BFLOAT16, name="w")
    assert half_precision(brain)
