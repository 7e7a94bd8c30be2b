"""Weights in bfloat16: rounded as hardware does, in every graph, and left where they would not fit."""

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest

from optkit.arrays import Array
from optkit.quantization.graphs import all_graphs
from optkit.quantization.half.storage import store_bfloat16
from optkit.runtimes.onnxruntime import open_onnx

from ..tiny import answers, draw, read, reference, saved

W = draw(20, 20)


def bfloat16(array: Array) -> Array:
    return array.astype(ml_dtypes.bfloat16).astype(np.float32)


def test_answers_are_those_of_the_rounded_weights() -> None:
    model, x = read("(float[N,20] x) => (float[N,20] y) { y = MatMul(x, w) }", opset=13, w=W), draw(3, 20, seed=1)
    assert store_bfloat16(model) == 1
    np.testing.assert_array_equal(
        answers(model, {"x": x})["y"],
        answers(read("(float[N,20] x) => (float[N,20] y) { y = MatMul(x, w) }", w=bfloat16(W)), {"x": x})["y"],
    )
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    np.testing.assert_allclose(reference(model, {"x": x})["y"], x @ bfloat16(W), rtol=1e-5, atol=1e-5)


def test_the_runtime_turns_them_into_floats_once() -> None:
    model = read("(float[N,20] x) => (float[N,20] y) { m = MatMul(x, w) y = MatMul(m, w) }", w=W)
    store_bfloat16(model)
    assert sum(open_onnx(saved(model)).placement().values()) == 2


def test_branches_constants_and_what_stays() -> None:
    body = """{ p = MatMul(x, v) }, else_branch = e () => (float[N,20] q) { q = Mul(x, small) }> }"""
    model = read(
        f"(float[N,20] x, bool k) => (float[N,20] y) {{ y = If (k) <then_branch = t () => (float[N,20] p) {body}", v=W, small=draw(20)
    )
    branch = next(iter(model.graph)).attributes["then_branch"].as_graph()
    held = ir.node("Constant", [], {"value": ir.tensor(W, name="c")})
    held.outputs[0].name, held.outputs[0].dtype = "c", ir.DataType.FLOAT
    branch.insert_before(branch[0], held)
    branch[1].replace_input_with(1, held.outputs[0])
    model.graph.initializers.pop("v")
    assert store_bfloat16(model) == 1
    assert model.graph.initializers["small"].dtype == ir.DataType.FLOAT
    assert {n.op_type for g in all_graphs(model) for n in g} == {"If", "Cast", "MatMul", "Mul"}
    x = draw(2, 20, seed=3)
    np.testing.assert_allclose(answers(model, {"x": x, "k": np.array(True)})["y"], x @ bfloat16(W), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan])
def test_infinity_stays_and_nothing_becomes_infinite(odd: float) -> None:
    weights = W.copy()
    weights[0, 0] = odd
    graph = "(float[20,20] x) => (float[20,20] y) { y = Max(x, w) }"
    model = read(graph, w=weights)
    assert store_bfloat16(model) == 1
    weights[0, 0] = np.finfo(np.float32).max
    model = read(graph, w=weights)
    assert store_bfloat16(model) == 0


def test_numbers_that_float16_cannot_hold() -> None:
    large, tiny = W * np.float32(1e30), W * np.float32(1e-30)
    model = read("(float[20,20] x) => (float[20,20] y, float[20,20] z) { y = Mul(x, a) z = Mul(x, b) }", a=large, b=tiny)
    store_bfloat16(model)
    found = answers(model, {"x": np.ones((20, 20), np.float32)})
    np.testing.assert_array_equal(found["y"], bfloat16(large))
    np.testing.assert_array_equal(found["z"], bfloat16(tiny))
