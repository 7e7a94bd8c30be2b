"""Means over positions as pooling; the answers stay."""

import numpy as np
import pytest

from optkit.quantization.float_graph.pools import pool_means

from ..tiny import answers, draw, operators, read

W = draw(4, 3, 3, 3)


@pytest.mark.parametrize(
    ("opset", "mean"),
    [
        (13, "m = ReduceMean<axes=[2,3]>(r)"),
        (13, "m = ReduceMean<axes=[-1,-2], keepdims=1>(r)"),
        (18, "m = ReduceMean(r, spatial)"),
    ],
)
def test_a_mean_over_all_positions_is_a_pool(opset: int, mean: str) -> None:
    graph = f"(float[N,3,6,5] x) => (float[N,4,1,1] y) {{ c = Conv(x, w) r = Relu(c) {mean} y = Sigmoid(m) }}"
    model = read(graph, opset, w=W, **({"spatial": np.array([2, 3])} if opset == 18 else {}))
    feed = {"x": draw(2, 3, 6, 5, seed=1)}
    before = answers(model, feed)
    assert pool_means(model) == 1
    assert operators(model)["ReduceMean"] == 0
    np.testing.assert_allclose(answers(model, feed)["y"], before["y"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        ("N,4", "c = Conv(x, w) y = ReduceMean<axes=[2,3], keepdims=0>(c)"),  # other dimensions
        ("N,4,4,1", "c = Conv(x, w) y = ReduceMean<axes=[3]>(c)"),  # one axis only
        ("N,1,1,1", "c = Conv(x, w) y = ReduceMean<axes=[1,2,3]>(c)"),  # channels too
        ("1,1,1,1", "c = Conv(x, w) y = ReduceMean(c)"),
        ("N,3,1,1", "y = ReduceMean<axes=[2,3]>(x)"),  # no layer before it
    ],
)
def test_other_means_stay(shape: str, body: str) -> None:
    assert pool_means(read(f"(float[N,3,6,5] x) => (float[{shape}] y) {{ {body} }}", 13, w=W)) == 0


def test_the_mean_of_a_layer_normalization_stays() -> None:
    model = read("(float[N,7,5] x, float[N,7,5] z) => (float[N,7,1] y) { s = Add(x, z) y = ReduceMean<axes=[2]>(s) }", 13)
    assert pool_means(model) == 0
