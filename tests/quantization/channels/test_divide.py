"""Divided inputs and channels apart: what the float model says, in every form of product."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from optkit.quantization.channels.divide import Division, divide_inputs
from optkit.quantization.graphs import constant_array
from optkit.quantization.integer_graph.insert_dynamic import insert_dynamic

from ..tiny import answers, draw, operators, read, reference, saved

TWO_READERS = """(float[N,7,32] x) => (float[N,7,16] y, float[N,7,6] z, float[N,7,32] r) {
    r = Relu(x) m = MatMul(r, w) y = Add(m, b) z = MatMul(r, v) }"""


def two_readers() -> ir.Model:
    return read(TWO_READERS, w=draw(32, 16), v=draw(32, 6, seed=2), b=draw(16, seed=3))


def division(channels: int, apart: list[int]) -> Division:
    divisor = np.exp(draw(channels, seed=4)).astype(np.float32)
    divisor[apart] = 1
    return Division(divisor, np.array(apart, np.int64))


@pytest.mark.parametrize("apart", [[], [3], [0, 5, 31]])
def test_nothing_changes_in_float(apart: list[int]) -> None:
    model = two_readers()
    made = model.clone()
    assert divide_inputs(made.graph, ["m", "z"], {"r": division(32, apart)}) == {"r": "r_smooth"}
    counts = operators(made)
    assert counts["Mul"] == 1
    assert (counts["Gather"], counts["MatMul"], counts["Add"]) == ((1, 4, 3) if apart else (0, 2, 1))
    feed = {"x": draw(3, 7, 32, seed=5)}
    before = answers(model, feed)
    for after in (answers(made, feed), reference(made, feed)):
        np.testing.assert_array_equal(after["r"], before["r"])
        for name in ("y", "z"):
            np.testing.assert_allclose(after[name], before[name], rtol=1e-4, atol=1e-4 * np.abs(before[name]).max())
    assert [(v.name, str(v.type), str(v.shape)) for v in made.graph.outputs] == [
        (v.name, str(v.type), str(v.shape)) for v in model.graph.outputs
    ]


@pytest.mark.parametrize("apart", [[], [2, 7]])
@pytest.mark.parametrize("graph", ["y = Gemm(x, w, b)", "y = Gemm<transB=1>(x, t, b)", "g = Gemm(x, w, b) y = Neg(g)"])
def test_gemm_either_way_round(graph: str, apart: list[int]) -> None:
    weight = draw(8, 5)
    weights: dict[str, Any] = {"t": weight.T} if "t," in graph else {"w": weight}
    model = read(f"(float[N,8] x) => (float[N,5] y) {{ {graph} }}", b=draw(5), **weights)
    made = model.clone()
    divide_inputs(made.graph, ["y", "g"], {"x": division(8, apart)})
    sign = -1 if "Neg" in graph else 1
    np.testing.assert_allclose(answers(made, {"x": np.eye(8, dtype=np.float32)})["y"], sign * (weight + draw(5)), rtol=1e-4, atol=1e-5)


def test_only_what_is_named_is_divided() -> None:
    model = two_readers()
    before = saved(model)
    assert divide_inputs(model.graph, ["z"], {"another": division(32, [])}) == {}
    assert saved(model) == before
    divide_inputs(model.graph, ["z"], {"r": division(32, [1])})
    readers = [n.op_type for n in next(n for n in model.graph if n.op_type == "Relu").outputs[0].consumers()]
    assert sorted(readers) == ["Gather", "MatMul", "Mul"]


def test_a_channel_apart_is_not_rounded_and_does_not_coarsen_the_rest() -> None:
    weight = draw(32, 16)
    model = read("(float[N,32] x) => (float[N,16] y) { m = MatMul(x, w) y = Add(m, b) }", w=weight, b=draw(16))
    x = draw(6, 32, seed=5)
    x[0, 9] = 1e4
    exact = x.astype(np.float64) @ weight + draw(16)
    made = model.clone()
    divide_inputs(made.graph, ["m"], {"x": Division(np.ones(32, np.float32), np.array([9]))})
    insert_dynamic(made.graph, ["m"])
    plain = model.clone()
    insert_dynamic(plain.graph, ["m"])
    feed = {"x": x}
    error = np.abs(answers(made, feed)["y"] - exact)[1:].max()
    assert error < 0.3
    assert np.abs(answers(plain, feed)["y"] - exact)[1:].max() > 10 * error


def test_factor_and_weight_are_inverse_where_nothing_goes_apart() -> None:
    found = division(8, [2])
    weight = draw(8, 3)
    np.testing.assert_array_equal(found.factor()[[2]], 0)
    np.testing.assert_array_equal(found.weight(weight)[2], 0)
    np.testing.assert_allclose(np.delete(found.factor()[:, None] * found.weight(weight), 2, 0), np.delete(weight, 2, 0), rtol=1e-5)


def test_products_with_one_weight_keep_theirs() -> None:
    model = read("(float[N,8] x) => (float[N,8] y) { a = MatMul(x, w) y = MatMul(a, w) }", w=draw(8, 8))
    made = model.clone()
    divide_inputs(made.graph, ["a"], {"x": division(8, [])})
    feed = {"x": draw(4, 8, seed=1)}
    np.testing.assert_allclose(answers(made, feed)["y"], answers(model, feed)["y"], rtol=1e-4, atol=1e-4)
    last = next(n for n in made.graph if n.name == "y")
    np.testing.assert_array_equal(constant_array(last.inputs[1]), draw(8, 8))
