"""Biases written as additions move into their convolutions; the answers stay."""

import numpy as np
import pytest

from optkit.quantization.conv_bias import fold_added_biases

from .tiny import answers, draw, operators, read

X = {"x": draw(2, 3, 5, 5, seed=1)}


@pytest.mark.parametrize("shape", [(1, 4, 1, 1), (4, 1, 1), (1, 1, 1, 1), (1,)])
@pytest.mark.parametrize("held", ["", ", c"])
def test_a_constant_per_channel_is_folded(shape: tuple[int, ...], held: str) -> None:
    constants = {"w": draw(4, 3, 3, 3), "b": draw(*shape, seed=2), **({"c": draw(4, seed=3)} if held else {})}
    model = read(f"(float[N,3,5,5] x) => (float[N,4,H,W] y) {{ a = Conv(x, w{held}) s = Add(b, a) y = Relu(s) }}", 17, **constants)
    before = answers(model, X)
    assert fold_added_biases(model) == 1
    assert operators(model)["Add"] == 0
    np.testing.assert_allclose(answers(model, X)["y"], before["y"], rtol=1e-5, atol=1e-5)


def test_an_output_keeps_its_name() -> None:
    model = read("(float[N,3,5,5] x) => (float[N,4,H,W] y) { a = Conv(x, w) y = Add(a, b) }", w=draw(4, 3, 3, 3), b=draw(4, 1, 1))
    before = answers(model, X)
    assert fold_added_biases(model) == 1
    np.testing.assert_allclose(answers(model, X)["y"], before["y"], rtol=1e-5, atol=1e-5)


def test_groups_of_a_transposed_convolution() -> None:
    model = read(
        "(float[N,4,5,5] x) => (float[N,6,H,W] y) { a = ConvTranspose<group=2>(x, w) y = Add(a, b) }",
        w=draw(4, 3, 3, 3),
        b=draw(6, 1, 1, seed=4),
    )
    feed = {"x": draw(1, 4, 5, 5, seed=1)}
    before = answers(model, feed)
    assert fold_added_biases(model) == 1
    np.testing.assert_allclose(answers(model, feed)["y"], before["y"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "body",
    [
        "a = Conv(x, w) s = Add(a, b) y = Mul(s, a)",  # what the convolution gives is read elsewhere
        "a = Conv(x, w) s = Add(a, d) y = Relu(s)",  # differs within a channel
        "a = Conv(x, w) s = Add(a, x4) y = Relu(s)",  # not a constant
    ],
)
def test_what_is_no_bias_stays(body: str) -> None:
    model = read(
        f"(float[N,3,5,5] x, float[N,4,3,3] x4) => (float[N,4,3,3] y) {{ {body} }}", w=draw(4, 3, 3, 3), b=draw(4, 1, 1), d=draw(3)
    )
    assert fold_added_biases(model) == 0
    assert operators(model)["Add"] == 1
