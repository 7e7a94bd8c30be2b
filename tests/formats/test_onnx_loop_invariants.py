"""Loops whose state partly stays the same answer as before, and read that part from around them."""

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import numpy_helper, parser

from optkit.arrays import Array
from optkit.formats.onnx_loop_invariants import free_loop_invariants
from optkit.formats.onnx_simplify import simplify

RNG = np.random.default_rng(0)
W = (RNG.normal(size=(6, 6)) / 3).astype(np.float32)
X = RNG.normal(size=(2, 6)).astype(np.float32)


def read(graph: str, **weights: Array) -> ir.Model:
    proto = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> g {graph}')
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in {"w": W, **weights}.items())
    return ir.from_proto(proto)


def answers(model: ir.Model, feed: dict[str, Array]) -> list[Array]:
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    return list(ort.InferenceSession(proto.SerializeToString()).run(None, feed))


def freed(model: ir.Model, *feeds: dict[str, Array]) -> list[ir.Node]:
    """The loops of the model, outer ones first, after it was held against itself as it was."""
    changed = model.clone()
    free_loop_invariants(changed)
    for made in (changed, simplify(model)):
        for feed in feeds:
            for expected, got in zip(answers(model, feed), answers(made, feed), strict=True):
                np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    return [n for graph in changed.graphs() for n in graph if n.op_type in ("Loop", "Scan")]


LOOP = """(int64 n, float[2,6] x, float[2,6] z) => (float[2,6] y, float[6,6] k, float[2,6] v, float[P,2,6] all) {
    go = Constant<value = bool {1}>()
    y, k, zs, all = Loop(n, go, x, w, z) <body = b (int64 i, bool c, float[2,6] h, float[6,6] r, float[2,6] u)
        => (bool d, float[2,6] h2, float[6,6] r2, float[2,6] u2, float[2,6] o) {
            d = Identity(c) m = MatMul(h, r) s = Add(m, u) h2 = Tanh(s) r1 = Identity(r) r2 = Identity(r1) u2 = Identity(u) o = Neg(h2) }>
    v = Relu(zs) }"""


@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_what_stays_the_same_is_read_from_around(rounds: int) -> None:
    feed = {"n": np.array(rounds), "x": X, "z": X[::-1].copy()}
    (loop,) = freed(read(LOOP), feed)
    assert [v.name for v in loop.inputs if v is not None] == ["n", "go", "x"]
    assert [v.name for v in loop.outputs] == ["y", "all"]
    body = loop.attributes["body"].as_graph()
    product = next(n for n in body if n.op_type == "MatMul")
    assert product.inputs[1] is not None
    assert product.inputs[1].is_initializer()


def test_what_changes_places_is_state() -> None:
    text = """(int64 n, float[2,6] x, float[2,6] z) => (float[2,6] a, float[2,6] b) {
        go = Constant<value = bool {1}>()
        a, b = Loop(n, go, x, z) <body = l (int64 i, bool c, float[2,6] p, float[2,6] q) => (bool d, float[2,6] p2, float[2,6] q2)
            { d = Identity(c) p2 = Identity(q) q2 = Identity(p) }> }"""
    model = read(text)
    (loop,) = freed(model, *({"n": np.array(n), "x": X, "z": X * 2} for n in (0, 1, 2)))
    assert len(loop.inputs) == 4


def test_what_is_collected_too_is_a_copy() -> None:
    text = """(int64 n, float[2,6] x) => (float[P,2,6] all) {
        go = Constant<value = bool {1}>()
        last, all = Loop(n, go, x) <body = l (int64 i, bool c, float[2,6] p)
            => (bool d, float[2,6] p, float[2,6] p) { d = Identity(c) }> }"""
    (loop,) = freed(read(text), {"n": np.array(3), "x": X})
    assert [v.name for v in loop.inputs if v is not None] == ["n", "go"]


def test_a_name_that_a_body_uses_for_something_else_stays_state() -> None:
    text = """(int64 n, float[2,6] x, float[2,6] z) => (float[2,6] a, float[2,6] b) {
        go = Constant<value = bool {1}>()
        a, b = Loop(n, go, x, z) <body = l (int64 i, bool c, float[2,6] p, float[2,6] q) => (bool d, float[2,6] p2, float[2,6] q2)
            { d = Identity(c) e = Neg(p) p2 = Add(e, q) q2 = Identity(q) }> }"""
    model = read(text)
    body = next(n for n in model.graph if n.op_type == "Loop").attributes["body"].as_graph()
    next(v for n in body for v in n.outputs if v.name == "e").name = "z"
    free_loop_invariants(model)
    assert len(next(n for n in model.graph if n.op_type == "Loop").inputs) == 4


def test_loops_in_loops() -> None:
    text = """(int64 n, float[2,6] x) => (float[2,6] y) {
        go = Constant<value = bool {1}>()
        y, k = Loop(n, go, x, w) <body = b (int64 i, bool c, float[2,6] h, float[6,6] r) => (bool d, float[2,6] h2, float[6,6] r2) {
            d = Identity(c)
            h2, r2 = Loop(n, c, h, r) <body = e (int64 j, bool f, float[2,6] s, float[6,6] t) => (bool g, float[2,6] s2, float[6,6] t2)
                { g = Identity(f) m = MatMul(s, t) s2 = Tanh(m) t2 = Identity(t) }> }> }"""
    inner = freed(read(text), {"n": np.array(2), "x": X})[-1]
    product = next(n for n in inner.attributes["body"].as_graph() if n.op_type == "MatMul")
    assert product.inputs[1] is not None
    assert product.inputs[1].is_initializer()


def test_scans() -> None:
    text = """(float[5,2,6] seq, float[2,6] x) => (float[2,6] y, float[5,2,6] all) {
        y, k, all = Scan<num_scan_inputs = 1, body = b (float[2,6] h, float[6,6] r, float[2,6] s)
            => (float[2,6] h2, float[6,6] r2, float[2,6] o)
            { m = MatMul(h, r) a = Add(m, s) h2 = Tanh(a) r2 = Identity(r) o = Neg(h2) }>(x, w, seq) }"""
    (scan,) = freed(read(text), {"seq": RNG.normal(size=(5, 2, 6)).astype(np.float32), "x": X})
    assert [v.name for v in scan.inputs if v is not None] == ["x", "seq"]
    assert [v.name for v in scan.outputs] == ["y", "all"]
