"""Targets worked out at run time become constants, and nothing else changes, whatever the sizes."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from optkit.formats.onnx_simplify import simplify
from optkit.quantization.float_graph.reshapes import settle_reshapes
from optkit.quantization.graphs import constant_array

from ..tiny import answers, draw, operators, read, saved

HEADS = """(float[batch,tokens,24] x) => (float[batch,4,tokens,6] y) {
    s = Shape(x) b = Gather(s, zero) t = Gather(s, one) bu = Unsqueeze(b, axes) tu = Unsqueeze(t, axes)
    target = Concat<axis=0>(bu, tu, four, six) h = Reshape(x, target) y = Transpose<perm=[0,2,1,3]>(h) }"""
MERGED = """(float[batch,4,tokens,6] x) => (float[rows,24] y) {
    p = Transpose<perm=[0,2,1,3]>(x) s = Shape(p) b = Gather(s, zero) t = Gather(s, one) n = Mul(b, t)
    nu = Unsqueeze(n, axes) target = Concat<axis=0>(nu, all) y = Reshape(p, target) }"""
FLAT = """(float[batch,4,3] x) => (float[batch,12] y) {
    s = Shape(x) b = Gather(s, zero) bu = Unsqueeze(b, axes) target = Concat<axis=0>(bu, rest) y = Reshape(x, target) }"""
LOST = """(float[batch,tokens,24] x, float[A,B,24] more) => (float[C,4,D,6] y, float[E,F,24] z) {
    m = Add(x, more) s = Shape(m) b = Gather(s, zero) t = Gather(s, one) bu = Unsqueeze(b, axes) tu = Unsqueeze(t, axes)
    target = Concat<axis=0>(bu, tu, four, six) h = Reshape(m, target) y = Transpose<perm=[0,2,1,3]>(h)
    p = Softmax(y) c = Transpose<perm=[0,2,1,3]>(p) w = Shape<start=0, end=2>(c)
    back = Concat<axis=0>(w, all) z = Reshape(c, back) }"""
"""Sizes that no name connects: a sum with something of any shape."""
SLICED = """(float[A,B,4,6] x) => (float[C,D,24] y) {
    s = Shape(x) f = Slice(s, none, two, axes) target = Concat<axis=0>(f, all) y = Reshape(x, target) }"""
ELSEWHERE = """(float[A,B,24] x, float[C,D] k) => (float[E,F,4,6] y) {
    s = Shape(k) b = Gather(s, zero) t = Gather(s, one) bu = Unsqueeze(b, axes) tu = Unsqueeze(t, axes)
    target = Concat<axis=0>(bu, tu, four, six) y = Reshape(x, target) }"""
BOTH_FREE = """(float[rows,24] x, float[batch,tokens] k) => (float[batch,tokens,24] y) {
    s = Shape(k) target = Concat<axis=0>(s, all) y = Reshape(x, target) }"""


def model_of(graph: str) -> ir.Model:
    weights = {"zero": 0, "one": 1, "axes": [0], "four": [4], "six": [6], "all": [24], "rest": [-1], "none": [0], "two": [2]}
    arrays: dict[str, Any] = {name: np.array(value, np.int64) for name, value in weights.items() if name in graph}
    model = read(graph, **arrays)
    for node in model.graph:
        for value in node.outputs:
            value.shape = value.shape if value.is_graph_output() else None
    return simplify(model)


@pytest.mark.parametrize(
    ("graph", "target", "shape"),
    [(HEADS, [0, 0, 4, 6], ("batch", "tokens", 24)), (MERGED, [-1, 24], ("batch", 4, "tokens", 6)), (FLAT, [0, 12], ("batch", 4, 3))],
)
def test_the_same_answers_for_every_size(graph: str, target: list[int], shape: tuple[Any, ...]) -> None:
    model = model_of(graph)
    settled = model.clone()
    assert settle_reshapes(settled) == 1
    (node,) = [n for n in settled.graph if n.op_type == "Reshape"]
    np.testing.assert_array_equal(constant_array(node.inputs[1]), target)
    assert not {"Shape", "Gather", "Concat"} & set(operators(settled))
    for batch, tokens in ((1, 1), (1, 7), (3, 2), (2, 5)):
        feed = {"x": draw(*({"batch": batch, "tokens": tokens}.get(str(size), size) for size in shape))}
        before, after = answers(model, feed)["y"], answers(settled, feed)["y"]
        np.testing.assert_array_equal(after, before)


def test_targets_taken_from_a_shape_that_has_no_names() -> None:
    model = model_of(LOST)
    settled = model.clone()
    assert settle_reshapes(settled) == 2
    assert not {"Shape", "Gather", "Concat"} & set(operators(settled))
    for batch, tokens in ((1, 1), (1, 7), (3, 2)):
        feed = {"x": draw(batch, tokens, 24), "more": draw(1, tokens, 24, seed=1)}
        before, after = answers(model, feed), answers(settled, feed)
        for name in ("y", "z"):
            np.testing.assert_array_equal(after[name], before[name])


def test_a_target_that_leaves_one_size_open() -> None:
    graph = """(float[batch,tokens,24] x) => (float[batch,D,24] y) {
        s = Shape(x) b = Gather(s, zero) bu = Unsqueeze(b, axes) target = Concat<axis=0>(bu, rest, all) y = Reshape(x, target) }"""
    model = model_of(graph)
    assert settle_reshapes(model) == 1
    x = draw(2, 5, 24)
    np.testing.assert_array_equal(answers(model, {"x": x})["y"], x)


def test_a_slice_of_a_shape() -> None:
    model = model_of(SLICED)
    assert settle_reshapes(model) == 1
    x = draw(3, 2, 4, 6)
    np.testing.assert_array_equal(answers(model, {"x": x})["y"], x.reshape(3, 2, 24))


def test_reshapes_with_one_target_work_it_out_once() -> None:
    graph = """(float[rows,24] x, float[batch,tokens] k) => (float[batch,tokens,24] y, float[batch,tokens,24] z) {
        s = Shape(k) p = Concat<axis=0>(s, all) y = Reshape(x, p)
        i = Identity(k) r = Relu(i) t = Shape(r) q = Concat<axis=0>(t, all) n = Neg(x) z = Reshape(n, q) }"""
    model = model_of(graph)
    shared = model.clone()
    assert settle_reshapes(shared) == 1
    counts = operators(shared)
    assert (counts["Shape"], counts["Concat"], counts["Reshape"]) == (1, 1, 2)
    feed = {"x": draw(6, 24), "k": draw(2, 3)}
    for name, before in answers(model, feed).items():
        np.testing.assert_array_equal(answers(shared, feed)[name], before)


def test_a_target_from_another_tensor_is_left_alone() -> None:
    model = model_of(ELSEWHERE)
    before = saved(model)
    assert settle_reshapes(model) == 0
    assert saved(model) == before


def test_two_sizes_that_nothing_determines_are_left_to_run_time() -> None:
    model = model_of(BOTH_FREE)
    before = saved(model)
    assert settle_reshapes(model) == 0
    assert saved(model) == before


@pytest.mark.parametrize(
    "graph",
    [
        "(float[N,4,3] x, int64[2] target) => (float[A,B] y) { y = Reshape(x, target) }",
        "(float[N,4,3] x) => (float[N,12] y) { y = Reshape(x, rest) }",
        "(float[N,0,3] x, int64[2] target) => (float[N,0] y) { y = Reshape<allowzero=1>(x, target) }",
    ],
)
def test_what_cannot_or_need_not_be_settled(graph: str) -> None:
    model = read(graph, rest=np.array([0, 12], np.int64))
    before = saved(model)
    assert settle_reshapes(model) == 0
    assert saved(model) == before
