"""Sizes that a graph asks for though they are known."""

import numpy as np
import onnx_ir as ir
import pytest
from onnx import parser
from onnx.reference import ReferenceEvaluator

from optkit.formats.onnx_known_sizes import fold_known_sizes
from optkit.formats.onnx_simplify import simplify

HEAD = '<ir_version: 8, opset_import: ["" : 17]> g '


def run(model: ir.Model, feed: dict[str, np.ndarray]) -> np.ndarray:
    return np.asarray(next(iter(ReferenceEvaluator(ir.to_proto(model)).run(None, feed))))


def read(graph: str) -> ir.Model:
    return ir.from_proto(parser.parse_model(HEAD + graph))


CONSTANTS = "int64 two = {2}, int64[1] at = {2}, int64[1] end = {4}, int64[1] zero = {0}, int64[1] step = {1}, int64[2] both = {3, -2}"


@pytest.mark.parametrize(
    ("pick", "known"),
    [
        ("y = Gather(s, two)", True),
        ("y = Gather(s, both)", True),
        ("y = Slice(s, at, end)", True),
        ("y = Slice(s, at, end, zero, step)", True),
        ("y = Gather(s, zero)", False),  # the batch is open
        ("y = Slice(s, zero, end)", False),
        ("t = Add(s, s) y = Gather(t, two)", False),
    ],
)
def test_what_is_known_is_a_constant(pick: str, known: bool) -> None:
    graph = f"(float[N,3,8,6] x) => (int64[K] z) <{CONSTANTS}> {{ s = Shape(x) {pick} z = Identity(y) }}"
    model = read(graph)
    feed = {"x": np.zeros((2, 3, 8, 6), np.float32)}
    before = run(model, feed)
    assert fold_known_sizes(model) == known
    np.testing.assert_array_equal(run(model, feed), before)


def test_a_reader_with_its_own_end_of_the_shape() -> None:
    model = read(
        "(float[N,3,8,6] x) => (int64[K] z) <int64[1] first = {0}> { s = Shape<start=-2>(x) y = Gather(s, first) z = Identity(y) }"
    )
    assert fold_known_sizes(model) == 1
    assert run(model, {"x": np.zeros((2, 3, 8, 6), np.float32)}) == [8]


def test_padding_as_exporters_write_it_becomes_a_constant() -> None:
    """Zeros for the axes that are not padded, joined, turned into pairs, reversed, transposed and made flat."""
    model = read(
        """(float[N,1,6,6] x) => (float[N,1,H,W] y)
        <int64[1] four = {4}, int64[4] given = {1, 2, 3, 4}, int64[2] pairs = {-1, 2}, int64[1] zero = {0}, int64[1] back = {-1},
         int64[1] least = {-9223372036854775807}> {
            c = ConstantOfShape<value = int64[1] {0}>(four)
            k = Concat<axis=0>(given, c)
            r = Reshape(k, pairs)
            s = Slice(r, back, least, zero, back)
            t = Transpose<perm=[1,0]>(s)
            p = Reshape(t, back)
            y = Pad(x, p) }"""
    )
    feed = {"x": np.arange(36, dtype=np.float32).reshape(1, 1, 6, 6)}
    before = run(model, feed)
    simple = simplify(model)
    assert [n.op_type for n in simple.graph] == ["Pad"]
    np.testing.assert_array_equal(run(simple, feed), before)
