"""What is added to or multiplied with channels moves into their convolutions; the answers stay."""

import numpy as np
import pytest

from optkit.quantization.float_graph.conv_affine import fold_affine

from ..tiny import answers, draw, operators, read

X = {"x": draw(2, 3, 5, 5, seed=1)}


@pytest.mark.parametrize("shape", [(1, 4, 1, 1), (4, 1, 1), (1, 1, 1, 1), (1,)])
@pytest.mark.parametrize("held", ["", ", c"])
def test_a_constant_per_channel_is_folded(shape: tuple[int, ...], held: str) -> None:
    constants = {"w": draw(4, 3, 3, 3), "b": draw(*shape, seed=2), **({"c": draw(4, seed=3)} if held else {})}
    model = read(f"(float[N,3,5,5] x) => (float[N,4,H,W] y) {{ a = Conv(x, w{held}) s = Add(b, a) y = Relu(s) }}", 17, **constants)
    before = answers(model, X)
    assert fold_affine(model) == 1
    assert operators(model)["Add"] == 0
    np.testing.assert_allclose(answers(model, X)["y"], before["y"], rtol=1e-5, atol=1e-5)


def test_an_output_keeps_its_name() -> None:
    model = read("(float[N,3,5,5] x) => (float[N,4,H,W] y) { a = Conv(x, w) y = Add(a, b) }", w=draw(4, 3, 3, 3), b=draw(4, 1, 1))
    before = answers(model, X)
    assert fold_affine(model) == 1
    np.testing.assert_allclose(answers(model, X)["y"], before["y"], rtol=1e-5, atol=1e-5)


def test_groups_of_a_transposed_convolution() -> None:
    model = read(
        "(float[N,4,5,5] x) => (float[N,6,H,W] y) { a = ConvTranspose<group=2>(x, w) y = Add(a, b) }",
        w=draw(4, 3, 3, 3),
        b=draw(6, 1, 1, seed=4),
    )
    feed = {"x": draw(1, 4, 5, 5, seed=1)}
    before = answers(model, feed)
    assert fold_affine(model) == 1
    np.testing.assert_allclose(answers(model, feed)["y"], before["y"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "step", ["y = Sub(a, b)", "y = Sub(b, a)", "y = Mul(b, a)", "y = Div(a, b)", "s = Add(a, b) t = Sub(s, c) u = Mul(t, c) y = Add(b, u)"]
)
@pytest.mark.parametrize("kind", ["Conv", "ConvTranspose"])
def test_a_batch_norm_in_single_steps_is_folded(step: str, kind: str) -> None:
    weight = draw(6, 2, 3, 3) if kind == "Conv" else draw(4, 3, 3, 3)
    constants = {"w": weight, "b": draw(6, 1, 1, seed=4), **({"c": np.abs(draw(1, 6, 1, 1, seed=5)) + 0.1} if "c" in step else {})}
    model = read(f"(float[N,4,5,5] x) => (float[N,6,H,W] y) {{ a = {kind}<group=2>(x, w) {step} }}", 17, **constants)
    feed = {"x": draw(2, 4, 5, 5, seed=1)}
    before = answers(model, feed)
    assert fold_affine(model) == step.count("=")
    assert operators(model) == {kind: 1}
    np.testing.assert_allclose(answers(model, feed)["y"], before["y"], rtol=1e-4, atol=1e-4)


def test_a_weight_that_another_convolution_reads_stays_for_it() -> None:
    model = read(
        "(float[N,3,5,5] x) => (float[N,4,3,3] y, float[N,4,3,3] z) { a = Conv(x, w) y = Mul(a, b) z = Conv(x, w) }",
        w=draw(4, 3, 3, 3),
        b=draw(4, 1, 1, seed=2),
    )
    before = answers(model, X)
    assert fold_affine(model) == 1
    after = answers(model, X)
    for name in ("y", "z"):
        np.testing.assert_allclose(after[name], before[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("body", ["a = Conv(x, w) y = Div(b, a)", "a = Conv(x, w) y = Mul(a, o)", "a = Conv(x, w) y = Div(a, o)"])
def test_factors_that_are_no_plain_numbers_stay(body: str) -> None:
    model = read(f"(float[N,3,5,5] x) => (float[N,4,3,3] y) {{ {body} }}", w=draw(4, 3, 3, 3), b=draw(4, 1, 1), o=np.zeros((4, 1, 1)))
    assert fold_affine(model) == 0


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
    assert fold_affine(model) == 0
    assert operators(model)["Add"] == 1
