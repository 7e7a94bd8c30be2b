"""PRelu by other operators; the answers stay."""

import numpy as np
import pytest

from optkit.quantization.float_graph.prelus import spell_out_prelus
from optkit.quantization.float_graph.prepare import prepare

from ..tiny import answers, draw, operators, read, reference

SLOPES = {
    "each": np.linspace(-0.5, 2, 3).reshape(3, 1, 1),
    "one": np.full((3, 1, 1), 0.25),
    "none": np.zeros((1, 1, 1)),
    "last": np.linspace(0, 1, 5),
}


@pytest.mark.parametrize(
    ("slope", "becomes"),
    [
        ("each", {"Relu": 1, "Mul": 2, "Add": 1}),
        ("last", {"Relu": 1, "Mul": 2, "Add": 1}),
        ("one", {"LeakyRelu": 1}),
        ("none", {"Relu": 1}),
    ],
)
def test_a_prelu_is_spelled_out(slope: str, becomes: dict[str, int]) -> None:
    model = read(f"(float[N,3,4,5] x) => (float[N,3,4,5] y) {{ y = PRelu(x, {slope}) }}", **SLOPES)
    feed = {"x": draw(2, 3, 4, 5)}
    before = reference(model, feed)["y"]
    assert spell_out_prelus(model) == 1
    assert operators(model) == becomes
    np.testing.assert_allclose(answers(model, feed)["y"], before, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(reference(model, feed)["y"], before, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("ports", "slope"),
    [
        ("(float[N,5] x) => (float[N,5] y)", "last"),  # vectors
        ("(float[N,3,5] x, float[5] s) => (float[N,3,5] y)", "s"),
        ("(float[N,3,5] x) => (float[N,3,5] y)", "endless"),
        ("(float16[N,3,5] x) => (float16[N,3,5] y)", "half"),
    ],
)
def test_others_stay(ports: str, slope: str) -> None:
    model = read(f"{ports} {{ y = PRelu(x, {slope}) }}", endless=np.full((3, 1), -np.inf), half=np.full((3, 1), 0.5, np.float16), **SLOPES)
    assert spell_out_prelus(model) == 0
    assert set(operators(model)) == {"PRelu"}


def test_slopes_are_shared_with_a_branch() -> None:
    model = read(
        """(bool k, float[N,3,4,5] x) => (float[N,3,4,5] y) {
            y = If (k) < then_branch = t () => (float[N,3,4,5] p) { p = PRelu(x, each) },
                         else_branch = e () => (float[N,3,4,5] q) { q = PRelu(x, one) } > }""",
        **SLOPES,
    )
    feed = {"x": draw(2, 3, 4, 5)}
    before = [answers(model, {"k": np.array(flag), **feed})["y"] for flag in (True, False)]
    assert spell_out_prelus(model) == 2
    for flag, expected in zip((True, False), before, strict=True):
        np.testing.assert_allclose(answers(model, {"k": np.array(flag), **feed})["y"], expected, rtol=1e-5, atol=1e-6)


def test_quantization_starts_without_them() -> None:
    model = read("(float[N,3,4,5] x) => (float[N,3,4,5] y) { c = Conv(x, w) y = PRelu(c, each) }", w=draw(3, 3, 1, 1), **SLOPES)
    assert "PRelu" not in operators(prepare(model).model)
