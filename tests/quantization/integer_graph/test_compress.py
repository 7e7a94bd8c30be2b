"""8-bit storage: what every runtime folds back into float weights, wherever the weights are."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optkit.arrays import Array
from optkit.quantization.graphs import all_graphs, prune_unused
from optkit.quantization.integer_graph.compress import LARGEST_OVERHEAD, compress_tables, compress_weights, stored_form

from ..tiny import Feed, answers, draw, fused, operators, read, reference, saved

WIDE = draw(40, 40)
IDS = np.array([[0, 3, 39, -1]], np.int64)
IN_BRANCHES = """(bool k, float[2,40] x) => (float[2,40] y) {
    h = MatMul(x, w)
    y = If (k) < then_branch = t () => (float[2,40] p) { m = MatMul(h, w) p = Add(m, b) },
                 else_branch = e () => (float[2,40] q) { q = MatMul(h, v) } > }"""
IN_A_LOOP = """(float[2,40] x) => (float[2,40] y) {
    n = Constant<value = int64 {3}>() go = Constant<value = bool {1}>()
    y = Loop (n, go, x) < body = body (int64 i, bool c, float[2,40] s) => (bool d, float[2,40] o) {
        d = Identity(c) m = MatMul(s, w) o = Tanh(m) } > }"""
RECURRENT = """(float[5,2,16] x) => (float[5,1,2,16] a, float[5,1,2,22] b) {
    a = LSTM<hidden_size=16>(x, lw, lr, lb) b = GRU<hidden_size=22>(x, gw, gr) }"""
MODELS: dict[str, Callable[[], tuple[ir.Model, Feed, int]]] = {
    "matrix products and convolutions": lambda: (
        read(
            "(float[1,8,12,12] x) => (float[1,16,40] y) { c = Conv(x, k) f = Reshape(c, s) y = MatMul(f, w) }",
            k=draw(16, 8, 3, 3),
            s=np.array([1, 16, 100], np.int64),
            w=draw(100, 40),
        ),
        {"x": draw(1, 8, 12, 12)},
        2,
    ),
    "branches and the graph around them": lambda: (
        read(IN_BRANCHES, w=WIDE, v=draw(40, 40, seed=1), b=draw(40)),
        {"k": np.array(True), "x": draw(2, 40)},
        2,
    ),
    "a loop's body": lambda: (read(IN_A_LOOP, w=WIDE / 20), {"x": draw(2, 40)}, 1),
    "recurrent layers": lambda: (
        read(RECURRENT, lw=draw(1, 64, 16) / 3, lr=draw(1, 64, 16) / 3, lb=draw(1, 128), gw=draw(1, 66, 16) / 3, gr=draw(1, 66, 22) / 3),
        {"x": draw(5, 2, 16)},
        4,
    ),
    "a table": lambda: (read("(int64[1,4] i) => (float[1,4,40] y) { y = Gather(w, i) }", w=WIDE), {"i": IDS}, 1),
    "one weight read in two ways": lambda: (
        read(
            "(int64[1,4] i, float[4,40] x) => (float[1,4,40] y, float[4,40] z) { y = Gather(w, i) z = Gemm<transB=1>(x, w) }",
            w=WIDE,
        ),
        {"i": IDS, "x": draw(4, 40)},
        1,
    ),
    "the same weight twice": lambda: (
        read("(float[4,40] x) => (float[4,40] y) { m = MatMul(x, w) y = MatMul(m, w) }", w=WIDE / 6),
        {"x": draw(4, 40)},
        1,
    ),
}


def inner_weights(model: ir.Model) -> None:
    """Move each weight that only a branch or body reads into it, as a Constant node, as exporters do."""
    for value in list(model.graph.initializers.values()):
        graphs = {use.node.graph for use in value.uses()}
        if len(graphs) == 1 and model.graph not in graphs:
            (graph,) = graphs
            assert isinstance(graph, ir.Graph)
            assert value.const_value is not None
            node = ir.node("Constant", [], {"value": value.const_value}, name=f"{value.name}_node")
            node.outputs[0].name = f"{value.name}_inside"
            graph.insert_before(graph[0], node)
            value.replace_all_uses_with(node.outputs[0])
            del model.graph.initializers[str(value.name)]


@pytest.mark.parametrize("name", MODELS)
def test_the_file_shrinks_and_the_answers_stay_close(name: str) -> None:
    model, feed, count = MODELS[name]()
    made = model.clone()
    before = saved(model)
    assert compress_weights(made) == count
    prune_unused(made)
    assert saved(model) == before
    assert not [v for g in all_graphs(made) for v in g.initializers.values() if v.dtype == ir.DataType.FLOAT and _size(v) > 600]
    assert len(saved(made)) < 0.5 * len(before)
    expected, found, plain = reference(made, feed), answers(made, feed), answers(model, feed)
    for port in plain:
        np.testing.assert_allclose(found[port], expected[port], atol=1e-4 * np.abs(plain[port]).max())
        assert np.abs(found[port] - plain[port]).max() <= 0.02 * np.abs(plain[port]).max()


@pytest.mark.parametrize("name", MODELS)
def test_onnx_runtime_folds_it_into_float_weights(name: str, tmp_path: Path) -> None:
    model, _, _ = MODELS[name]()
    made = model.clone()
    compress_weights(made)
    prune_unused(made)
    assert operators(made)["Cast"] > 0
    counts, plain = fused(made, tmp_path), fused(model, tmp_path)
    counts.pop("Constant", None)
    plain.pop("Constant", None)
    assert counts == plain


def _size(value: ir.Value) -> int:
    return 0 if value.const_value is None else value.const_value.size


@pytest.mark.parametrize("graph", [IN_BRANCHES, IN_A_LOOP])
def test_weights_inside_branches_and_bodies(graph: str, tmp_path: Path) -> None:
    weights: dict[str, Array] = {"w": WIDE / 20, **({"v": draw(40, 40, seed=1), "b": draw(40)} if graph is IN_BRANCHES else {})}
    model = read(graph, 17, **weights)
    inner_weights(model)
    ir.passes.common.LiftConstantsToInitializersPass(lift_all_constants=False)(model)
    made = model.clone()
    assert compress_weights(made) == (2 if graph is IN_BRANCHES else 1)
    assert len(saved(made)) < 0.4 * len(saved(model))
    feeds = [{"x": draw(2, 40), "k": np.array(k)} for k in (True, False)] if graph is IN_BRANCHES else [{"x": draw(2, 40)}]
    for feed in feeds:
        plain = answers(model, feed)["y"]
        np.testing.assert_allclose(answers(made, feed)["y"], reference(made, feed)["y"], atol=1e-5)
        assert np.abs(answers(made, feed)["y"] - plain).max() <= 0.02 * np.abs(plain).max()
    assert not {"Cast", "Mul"} & set(fused(made, tmp_path))


def test_no_name_in_a_branch_hides_one_around_it() -> None:
    model = read(IN_BRANCHES, w=WIDE, v=draw(40, 40, seed=1), b=draw(40))
    inner_weights(model)
    ir.passes.common.LiftConstantsToInitializersPass(lift_all_constants=False)(model)
    compress_weights(model)
    names = [v.name for g in all_graphs(model) for v in (*g.inputs, *g.initializers.values(), *(o for n in g for o in n.outputs))]
    assert len(set(names)) == len(names)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=4), st.integers(0, 2**32), st.booleans())
def test_stored_weights_are_within_half_a_step_of_scales_that_cost_little(shape: list[int], seed: int, outliers: bool) -> None:
    weight = draw(*shape, seed=seed)
    if outliers:
        weight[0] *= 100
    found = stored_form(ir.Value(name="w"), weight)
    assert found is not None
    integers, scale = found
    assert integers.dtype == np.int8
    assert integers.shape == weight.shape
    assert scale.ndim == weight.ndim
    assert (np.abs(integers * scale - weight) <= scale * (0.5 + 1e-4)).all()
    assert np.abs(integers).max() <= 127
    assert scale.size == 1 or scale.nbytes <= 4 * LARGEST_OVERHEAD * weight.size


def test_a_layers_output_channels_have_scales_of_their_own() -> None:
    weight = np.concatenate([draw(39, 40), draw(1, 40) * 1e-3])
    model = read("(float[N,40] x) => (float[N,40] y) { y = Gemm<transB=1>(x, w) }", w=weight)
    compress_weights(model)
    feed = {"x": np.eye(40, dtype=np.float32)}
    found = answers(model, feed)["y"].T
    peaks = np.abs(weight).max(axis=1, keepdims=True)
    assert (np.abs(found - weight) <= peaks / 127 * 0.501).all()


def test_a_large_table_is_looked_up_in_integers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optkit.quantization.integer_graph.compress.LARGE_TABLE", WIDE.size)
    model = read(
        "(int64[1,4] i) => (float[1,4,40] y, float[40] z) { y = Gather(w, i) k = Constant<value = int64 {2}>() z = Gather(w, k) }", w=WIDE
    )
    before = [(v.name, str(v.type), str(v.shape)) for v in model.graph.outputs]
    made = model.clone()
    assert compress_tables(made) == ["w"]
    prune_unused(made)
    assert [(v.name, str(v.type), str(v.shape)) for v in made.graph.outputs] == before
    assert len(saved(made)) < 0.5 * len(saved(model))
    found, plain = answers(made, {"i": IDS}), answers(model, {"i": IDS})
    steps = np.abs(WIDE).max(axis=1, keepdims=True) / 127
    assert (np.abs(found["y"] - plain["y"]) <= 0.501 * steps[IDS.ravel()]).all()
    assert (np.abs(found["z"] - WIDE[2]) <= 0.501 * steps[2]).all()
    folded = ir.load(_optimized(made, tmp_path))
    assert [v.dtype for v in folded.graph.initializers.values() if _size(v) == WIDE.size] == [ir.DataType.INT8]


def _optimized(model: ir.Model, folder: Path) -> Path:
    fused(model, folder)
    return folder / "fused.onnx"


@pytest.mark.parametrize(
    "graph",
    [
        "(int64[1,4] i, float[4,40] x) => (float[1,4,40] y, float[4,40] z) { y = Gather(w, i) z = MatMul(x, w) }",
        "(int64[1,4] i) => (float[40,1,4] y) { y = Gather<axis=1>(w, i) }",
    ],
)
def test_a_table_that_is_read_otherwise_is_left_alone(graph: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optkit.quantization.integer_graph.compress.LARGE_TABLE", 1)
    model = read(graph, w=WIDE)
    before = saved(model)
    assert compress_tables(model) == []
    assert saved(model) == before


def test_a_small_table_is_left_to_storage() -> None:
    model = read("(int64[1,4] i) => (float[1,4,40] y) { y = Gather(w, i) }", w=WIDE)
    assert compress_tables(model) == []


def test_what_is_left_alone() -> None:
    model = read(
        """(float[1,40] x) => (float[1,40] y, float[40,40] o, float[1,40] n) {
            a = MatMul(x, w) b = Add(a, bias) c = MatMul(b, small) d = MatMul(c, short) y = MatMul(d, kept) n = MatMul(d, odd) }""",
        w=WIDE,
        bias=draw(1200)[:40],
        small=draw(40, 20),
        short=draw(20, 40),
        o=WIDE,
        kept=WIDE,
        odd=np.where(np.eye(40) > 0, np.inf, WIDE).astype(np.float32),
    )
    made = model.clone()
    assert compress_weights(made, keep={"kept"}) == 1
    assert {"bias", "small", "short", "kept", "o", "odd"} <= set(made.graph.initializers)
    assert "w" not in made.graph.initializers


def test_a_weight_that_can_be_overridden_is_left_alone() -> None:
    model = read("(float[1,40] x, float[40,40] w) => (float[1,40] y) { y = MatMul(x, w) }", w=WIDE)
    assert compress_weights(model) == 0


def test_a_weight_read_in_opposite_orientations_is_stored_once() -> None:
    model = read("(float[N,48] x) => (float[N,48] y) { a = MatMul(x, w) r = Relu(a) y = Gemm<transB=1>(r, w) }", w=draw(48, 64) / 8)
    before = answers(model, {"x": draw(5, 48, seed=3)})["y"]
    assert compress_weights(model) == 1
    assert [v.const_value.dtype for v in model.graph.initializers.values() if v.const_value.size > 100] == [ir.DataType.INT8]  # type: ignore[union-attr]
    after = answers(model, {"x": draw(5, 48, seed=3)})["y"]
    assert ((before - after) ** 2).sum() < 1e-3 * (before**2).sum()
