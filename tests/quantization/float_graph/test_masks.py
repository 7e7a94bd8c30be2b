"""Attention masks: -60 masks as well as -3.4e38, and only masks are touched."""

import numpy as np
import onnx_ir as ir
import pytest

from optkit.arrays import Array
from optkit.quantization.float_graph.masks import ENOUGH, soften_masks
from optkit.quantization.graphs import constant_array

from ..tiny import answers, draw, read, saved

SCORES = draw(2, 4, 5, 5, seed=3, scale=4)
MASK = np.ones((2, 1, 1, 5), np.float32)
MASK[0, ..., 3:] = 0
MASK[1, ..., 2:] = 0
LOWEST = float(np.finfo(np.float32).min)
TRIANGLE = np.triu(np.full((5, 5), -np.inf, np.float32), 1)
MASKED = {
    "(1 - mask) × -1e9": """(float[2,4,5,5] s, float[2,1,1,5] m) => (float[2,4,5,5] y) {
        i = Sub(one, m) k = Mul(i, low) a = Add(s, k) y = Softmax(a) }""",
    "lowest where the mask is 0": """(float[2,4,5,5] s, float[2,1,1,5] m) => (float[2,4,5,5] y) {
        b = Cast<to=9>(m) k = Where(b, zero, low) u = Identity(k) a = Add(s, u) y = Softmax<axis=-1>(a) }""",
    "scores replaced": """(float[2,4,5,5] s, float[2,1,1,5] m) => (float[2,4,5,5] y) {
        b = Cast<to=9>(m) a = Where(b, s, low) y = Softmax<axis=3>(a) }""",
    "a triangle": "(float[2,4,5,5] s, float[2,1,1,5] m) => (float[2,4,5,5] y) { a = Add(s, triangle) y = Softmax(a) }",
    "a part of a triangle": """(float[2,4,5,5] s, float[2,1,1,5] m) => (float[2,4,5,5] y) {
        t = Slice(triangle, from, to) e = Unsqueeze(t, axes) a = Add(s, e) y = Softmax(a) }""",
}


def masked(graph: str, low: float) -> ir.Model:
    weights: dict[str, Array | float] = {"one": 1.0, "zero": 0.0, "low": low, "triangle": TRIANGLE}
    weights |= {"from": np.array([0, 0], np.int64), "to": np.array([5, 5], np.int64), "axes": np.array([0], np.int64)}
    return read(graph, 17, **{name: value for name, value in weights.items() if name in graph})


@pytest.mark.parametrize("low", [LOWEST, -1e9, -1e4])
@pytest.mark.parametrize("name", MASKED)
def test_where_masks_are_0_or_1_the_answers_are_the_same(name: str, low: float) -> None:
    model = masked(MASKED[name], low)
    feed = {"s": SCORES, "m": MASK}
    before = answers(model, feed)["y"]
    assert soften_masks(model) == 1
    after = answers(model, feed)["y"]
    np.testing.assert_allclose(after, before, atol=1e-6)
    weights = [v for v in model.graph.initializers.values() if v.name is not None and v.name.endswith("_mask")]
    assert [float(np.min(constant_array(v))) for v in weights] == [ENOUGH]  # type: ignore[arg-type]
    assert after[after > 0].min() > np.finfo(np.float32).tiny


@pytest.mark.parametrize(
    "graph",
    [
        # it reaches an output, or something that is no softmax
        "(float[2,4,5,5] s) => (float[2,4,5,5] y, float[2,4,5,5] a) { a = Add(s, low) y = Softmax(a) }",
        "(float[2,4,5,5] s) => (float[2,4,5,5] y, float[2,4,5,5] z) { a = Add(s, low) y = Softmax(a) z = Relu(a) }",
        "(float[2,4,5,5] s) => (float[2,4,5,5] y) { a = Max(s, low) y = Sigmoid(a) }",
        "(float[2,4,5,5] s) => (float[2,4,5,5] y) { a = Add(s, low) b = Div(a, two) y = Softmax(b) }",
        "(float[2,4,5,5] s) => (float[2,4,5,5] y) { a = Clip(s, low) y = Softmax(a) }",
        "(float[2,4,5,5] s) => (float[2,4,5,5] y, float l) { a = Add(s, low) y = Softmax(a) l = Identity(low) }",
        # nothing reads it at all
        "(float[2,4,5,5] s) => (float[2,4,5,5] y) { y = Softmax(s) }",
    ],
)
def test_a_constant_that_reaches_anything_else_is_left_alone(graph: str) -> None:
    model = read(graph, low=-1e9, two=2.0)
    before = saved(model)
    assert soften_masks(model) == 0
    assert saved(model) == before


@pytest.mark.parametrize("array", [np.float32(-500), np.float32(2.0), np.array([5.0, -900.0], np.float32), np.zeros((0,), np.float32)])
def test_ordinary_constants_are_scores(array: Array) -> None:
    shape = "N" if array.size == 0 else "2"
    model = read(f"(float[{shape}] s) => (float[{shape}] y) {{ a = Add(s, bias) y = Softmax(a) }}", bias=array)
    assert soften_masks(model) == 0


def test_integer_and_overridable_constants_are_left_alone() -> None:
    model = read("(float[5] s, float low) => (float[5] y) { a = Add(s, low) y = Softmax(a) }", low=-1e9)
    assert soften_masks(model) == 0
    whole = read("(int64[5] s) => (float[5] y) { a = Add(s, low) c = Cast<to=1>(a) y = Softmax(c) }", low=np.array(-(10**9), np.int64))
    assert soften_masks(whole) == 0


def test_a_softmax_over_another_operator_of_the_same_name_is_not_trusted() -> None:
    model = masked(MASKED["a triangle"], -1e9)
    (add,) = [n for n in model.graph if n.op_type == "Add"]
    add.domain = "their.own"
    assert soften_masks(model) == 0
