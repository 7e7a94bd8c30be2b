"""Max and Min with a number as Clip and Relu; the answers stay."""

import numpy as np
import pytest

from optkit.quantization.float_graph.bounds import name_bounds

from ..tiny import answers, draw, operators, read, reference

BOUNDS = {"low": np.full((1, 1, 1), -0.4), "high": np.array(0.5), "zero": np.array([0.0])}


@pytest.mark.parametrize(
    ("body", "becomes"),
    [
        ("y = Max(x, low)", "Clip"),
        ("y = Max(low, x)", "Clip"),
        ("y = Min(x, high)", "Clip"),
        ("y = Max(zero, x)", "Relu"),
        ("y = Min(zero, x)", "Clip"),
        ("a = Max(x, low) y = Min(a, high)", "Clip"),
    ],
)
def test_a_bound_is_a_clip(body: str, becomes: str) -> None:
    model = read(f"(float[N,3,5] x) => (float[N,3,5] y) {{ {body} }}", **BOUNDS)
    feed = {"x": draw(4, 3, 5)}
    before = answers(model, feed)
    assert name_bounds(model) == operators(model).total()
    assert set(operators(model)) == {becomes}
    np.testing.assert_array_equal(answers(model, feed)["y"], before["y"])
    np.testing.assert_array_equal(reference(model, feed)["y"], before["y"])


@pytest.mark.parametrize(
    ("ports", "body"),
    [
        ("(float[3,5] x) => (float[A,B,C] y)", "y = Max(x, low)"),  # gains a dimension
        ("(float[3,5] x) => (float[3,5] y)", "y = Max(x, several)"),
        ("(float[3,5] x, float[3,5] z) => (float[3,5] y)", "y = Max(x, z)"),
        ("(float[3,5] x, float[3,5] z) => (float[3,5] y)", "y = Max(x, z, zero)"),
        ("(float[3,5] x) => (float[3,5] y)", "y = Max(x, nothing)"),
        ("(int64[3,5] x) => (int64[3,5] y)", "y = Max(x, whole)"),
    ],
)
def test_others_stay(ports: str, body: str) -> None:
    model = read(f"{ports} {{ {body} }}", several=draw(5), nothing=np.array(np.nan), whole=np.array(0), **BOUNDS)
    assert name_bounds(model) == 0
    assert set(operators(model)) == {"Max"}


def test_in_branches() -> None:
    model = read(
        """(bool k, float[4] x) => (float[4] y) {
            y = If (k) < then_branch = t () => (float[4] p) { p = Max(x, zero) },
                         else_branch = e () => (float[4] q) { q = Min(x, high) } > }""",
        **BOUNDS,
    )
    assert name_bounds(model) == 2
    for flag in (True, False):
        x = draw(4)
        expected = np.maximum(x, 0) if flag else np.minimum(x, 0.5)
        np.testing.assert_array_equal(answers(model, {"k": np.array(flag), "x": x})["y"], expected)
