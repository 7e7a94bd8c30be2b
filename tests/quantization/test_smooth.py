"""Smoothing: equal in float, and less error in integers where channels stick out."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from optkit.quantization.insert_dynamic import insert_dynamic
from optkit.quantization.means import channel_means, source_of
from optkit.quantization.smooth import apply_smoothing, find_smoothing
from optkit.quantization.treatment import Learned, Treatment, Way, build

from .tiny import Array, answers, draw, examples, operators, read, saved

BRANCHED = "(float[N,7,32] x) => (float[N,7,16] y, float[N,7,6] z, float[N,7,32] r) { r = Relu(x) y = MatMul(r, w) z = MatMul(r, v) }"


def branched() -> ir.Model:
    return read(BRANCHED, w=draw(32, 16), v=draw(32, 6, seed=2))


def with_outliers(count: int = 12) -> Array:
    x = draw(count, 7, 32, seed=5)
    x[..., [3, 17]] *= 60
    return x


def found_for(model: ir.Model, x: Array) -> dict[str, Array]:
    return find_smoothing(model, examples(x=x), threads=1, progress=lambda *_: None)


def noise(model: ir.Model, made: ir.Model, feed: dict[str, Array]) -> float:
    truth, found = answers(model, feed), answers(made, feed)
    return max(float(((found[name] - truth[name]) ** 2).sum() / (truth[name] ** 2).sum()) for name in ("y", "z"))


def test_it_changes_nothing_in_float() -> None:
    model = branched()
    divisor = np.exp(draw(32, seed=4)).astype(np.float32)
    made = model.clone()
    assert apply_smoothing(made.graph, ["y", "z"], {"r": divisor}) == {"r": "r_smooth"}
    assert operators(made)["Mul"] == 1
    feed = {"x": with_outliers()}
    before, after = answers(model, feed), answers(made, feed)
    np.testing.assert_array_equal(after["r"], before["r"])
    for name in ("y", "z"):
        np.testing.assert_allclose(after[name], before[name], rtol=1e-4, atol=1e-4 * np.abs(before[name]).max())


@pytest.mark.parametrize("graph", ["y = Gemm(x, w, b)", "y = Gemm<transB=1>(x, t, b)"])
def test_gemm_either_way_round(graph: str) -> None:
    weight = draw(8, 5)
    weights: dict[str, Any] = {"t": weight.T} if "t," in graph else {"w": weight}
    model = read(f"(float[N,8] x) => (float[N,5] y) {{ {graph} }}", b=draw(5), **weights)
    made = model.clone()
    apply_smoothing(made.graph, ["y"], {"x": np.arange(1, 9, dtype=np.float32)})
    feed = {"x": draw(4, 8, seed=6)}
    np.testing.assert_allclose(answers(made, feed)["y"], answers(model, feed)["y"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(answers(made, {"x": np.eye(8, dtype=np.float32)})["y"], weight + draw(5), rtol=1e-4, atol=1e-5)


def test_outlier_channels_are_divided_out_and_the_error_falls() -> None:
    model, feed = branched(), {"x": with_outliers()}
    found = found_for(model, with_outliers(20))
    assert set(found) == {"r"}
    others = np.delete(found["r"], [3, 17])
    assert found["r"][[3, 17]].min() > 2 * others.max()
    plain, smooth = model.clone(), model.clone()
    apply_smoothing(smooth.graph, ["y", "z"], found)
    insert_dynamic(plain.graph, ["y", "z"])
    insert_dynamic(smooth.graph, ["y", "z"])
    assert noise(model, smooth, feed) < 0.5 * noise(model, plain, feed)


def test_without_outliers_nothing_is_divided() -> None:
    assert found_for(branched(), draw(20, 7, 32, seed=5)) == {}


def test_no_matrix_products_no_smoothing() -> None:
    model = read("(float[N,8,4,4] x) => (float[N,8,4,4] y) { y = Conv(x, w) }", w=draw(8, 8, 1, 1))
    assert found_for(model, draw(3, 8, 4, 4)) == {}


@pytest.mark.parametrize("value", [0.0, 1e-30, 5.0])
def test_constant_and_dead_channels_do_no_harm(value: float) -> None:
    model, x = branched(), with_outliers()
    x[..., 5] = value
    x[..., 6] = 0
    found = found_for(model, x)
    assert np.isfinite(found["r"]).all()
    assert (found["r"] > 0).all()


def test_all_zero_inputs_are_left_alone() -> None:
    assert found_for(branched(), np.zeros((4, 7, 32), np.float32)) == {}


def test_a_smoothed_treatment_corrects_biases_of_what_it_divided() -> None:
    graph = "(float[N,7,32] x) => (float[N,7,8] y) { m = MatMul(x, w) y = Add(m, b) }"
    model = read(graph, w=draw(32, 8), b=draw(8))
    x = np.abs(with_outliers(20))
    nodes = [n for n in model.graph if n.op_type == "MatMul"]
    means = channel_means(model, nodes, {}, examples(x=x), threads=1, progress=lambda *_: None)
    assert source_of(nodes[0]) in means
    smoothing = found_for(model, x)
    assert set(smoothing) == {"x"}
    before = saved(model)
    treatment = Treatment("smoothed", {"m": Way.DYNAMIC}, smooth=True)
    corrected, plain = (build(model, treatment, Learned({}, kept, smoothing)) for kept in (means, {}))
    assert saved(model) == before
    truth = answers(model, {"x": x})["y"].mean((0, 1))
    off = [np.abs(answers(made, {"x": x})["y"].mean((0, 1)) - truth).max() for made in (corrected, plain)]
    assert off[0] < 0.5 * off[1]
