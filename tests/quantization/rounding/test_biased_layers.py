"""Layers with biases of their own are found in integers and behind them in float, and no others."""

import numpy as np

from optkit.quantization.rounding.biased_layers import biased_layers
from optkit.quantization.variants.build import build
from optkit.quantization.variants.learned import Learned
from optkit.quantization.variants.treatment import Treatment, Way

from ..tiny import draw, grids_for, read

BODY = """(float[N,4,6,6] x) => (float[N,3] y, float[N,4,6,6] s) {
    before = Conv<kernel_shape=[1,1]>(x, u, d)
    a = Conv<kernel_shape=[1,1]>(before, w, b)
    s = Conv<kernel_shape=[1,1]>(a, u2, shared)
    t = Conv<kernel_shape=[1,1]>(a, u3, shared)
    p = GlobalAveragePool(t)
    f = Flatten(p)
    g = Gemm(f, m, c)
    h = MatMul(g, k)
    y = Add(h, e)
}"""


def test_integer_layers_and_the_float_layers_behind_them() -> None:
    convolutions = {name: draw(4, 4, 1, 1, seed=place) for place, name in enumerate(("u", "w", "u2", "u3"))}
    biases = {"d": draw(4), "b": draw(4, seed=1), "shared": draw(4, seed=2), "c": draw(3, seed=3), "e": draw(3, seed=4)}
    model = read(BODY, **convolutions, **biases, m=draw(4, 3), k=draw(3, 3))
    grids = grids_for(model, ["before", "a"], {"x": draw(8, 4, 6, 6)})
    made = build(model, Treatment("static", {"a": Way.STATIC}, compress=False), Learned(grids))

    found = {layer.output: layer for layer in biased_layers(made)}

    assert list(found) == ["a", "g", "h"]
    assert found["a"].bias_scale is not None
    assert (found["g"].bias_scale, found["g"].bias.name, found["g"].biased) == (None, "c", None)
    assert (found["h"].bias.name, found["h"].biased) == ("e", "y")
    assert biased_layers(model) == []
    np.testing.assert_array_equal(found["h"].bias.const_value.numpy(), biases["e"])  # type: ignore[union-attr]
