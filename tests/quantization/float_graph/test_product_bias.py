"""MatMul and Add as one Gemm."""

from pathlib import Path

import numpy as np
import pytest

from optkit.quantization.float_graph.product_bias import join_products
from optkit.quantization.variants.build import build
from optkit.quantization.variants.calibrate import calibrate
from optkit.quantization.variants.candidates import candidates

from ..tiny import answers, draw, fused, operators, read, watcher

WEIGHTS = {"w": draw(16, 24), "b": draw(24, seed=1), "v": draw(24, 5, seed=2), "c": draw(1, 5, seed=3)}


def test_a_keras_network_becomes_gemms_that_compute_in_integers(tmp_path: Path) -> None:
    model = read(
        "(float[N,16] x) => (float[N,5] y) { m = MatMul(x, w) a = Add(m, b) r = Relu(a) k = MatMul(r, v) y = Add(c, k) }", **WEIGHTS
    )
    feed = {"x": draw(40, 16, seed=7)}
    exact = answers(model, feed)["y"]
    assert join_products(model) == 2
    assert operators(model) == {"Gemm": 2, "Relu": 1}
    assert [str(v.name) for v in model.graph.outputs] == ["y"]
    np.testing.assert_allclose(answers(model, feed)["y"], exact, rtol=1e-5, atol=1e-5)
    static = next(t for t in candidates(model, "static", True) if t.name == "static")
    made = build(model, static, calibrate(model, [static], watcher(**feed), "auto"))
    assert fused(made, tmp_path)["QGemm"] == 2
    assert np.abs(answers(made, feed)["y"] - exact).max() < 0.05 * np.abs(exact).max()


@pytest.mark.parametrize(
    ("shape", "graph"),
    [
        ("N,3,16", "m = MatMul(x, w) y = Add(m, b)"),  # a batch of matrices
        ("N,16", "m = MatMul(x, w) a = Add(m, b) y = Add(a, m)"),
        ("N,16", "m = MatMul(x, w) y = Add(m, s)"),
        ("N,16", "m = MatMul(x, w) y = Add(m, m)"),
        ("N,16", "m = MatMul(x, w) y = Sub(m, b)"),
    ],
)
def test_what_is_no_matrix_product_and_bias_stays(shape: str, graph: str) -> None:
    rank = "N,3,24" if "3" in shape else "N,24"
    model = read(f"(float[{shape}] x) => (float[{rank}] y) {{ {graph} }}", s=np.ones((1, 1), np.float32), **WEIGHTS)
    before = operators(model)
    assert join_products(model) == 0
    assert operators(model) == before
