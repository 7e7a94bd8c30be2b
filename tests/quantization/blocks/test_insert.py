"""Graphs with weights in groups answer what the float graph answers with the weights that the groups stand for."""

from collections import Counter

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator

from optkit.progress import silent
from optkit.quantization.blocks.algorithms import round_all
from optkit.quantization.blocks.blocked import SIZES, Scheme
from optkit.quantization.blocks.build import Form, build
from optkit.quantization.blocks.layers import find_weights
from optkit.quantization.graphs import all_graphs

from .small import GRAPHS, answer, draw, feed_of, model_of, nearest, with_real_weights

FLOAT: Form = "packed, float activations"
STORED: Form = "stored"


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("form", [FLOAT, STORED])
@pytest.mark.parametrize("kind", GRAPHS)
def test_four_bits_answer_as_the_weights_they_stand_for(kind: str, form: Form, symmetric: bool) -> None:
    model = model_of(kind)
    blocked, feed = nearest(model, Scheme(4, 32, symmetric)), feed_of(model)
    made = build(model, blocked, form)
    assert len(blocked) == 1
    expected = answer(with_real_weights(model, blocked), feed)
    tolerance = 1e-5 if kind != "odd_table" else 1e-6
    np.testing.assert_allclose(answer(made, feed), expected, atol=tolerance * np.abs(expected).max())
    assert not np.array_equal(expected, answer(model, feed))
    assert [v.name for v in made.graph.outputs] == ["y"]
    onnx.checker.check_model(ir.to_proto(made))


@pytest.mark.parametrize("kind", ["matmul", "turned", "tied_copy", "uneven", "branches"])
def test_eight_bits_and_rounded_activations(kind: str) -> None:
    model = model_of(kind)
    blocked, feed = nearest(model, Scheme(8, 32)), feed_of(model)
    expected = answer(with_real_weights(model, blocked), feed)
    stored = answer(build(model, blocked, STORED), feed)
    np.testing.assert_allclose(stored, expected, atol=1e-5 * np.abs(expected).max())
    rounded = answer(build(model, blocked, "packed"), feed)
    noise = ((rounded - expected) ** 2).sum() / (expected**2).sum()
    assert noise < 1e-3  # int8 activations in groups: some 40 dB


@pytest.mark.parametrize("kind", GRAPHS)
def test_standard_operators_unpack_by_onnx_own_rules(kind: str) -> None:
    model = model_of(kind)
    blocked, feed = nearest(model, Scheme()), feed_of(model)
    made = ir.to_proto(build(model, blocked, STORED))
    onnx.checker.check_model(made, full_check=True)
    found = np.asarray(next(iter(ReferenceEvaluator(made).run(None, feed))))
    expected = answer(with_real_weights(model, blocked), feed)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_nothing_is_left_to_unpack_when_it_runs() -> None:
    model = model_of("uneven")
    made = build(model, nearest(model, Scheme()), STORED)
    assert len(made.graph) > 5
    from optkit.runtimes.onnxruntime import open_onnx

    assert sum(open_onnx(ir.to_proto(made).SerializeToString()).placement().values()) == 1


@pytest.mark.parametrize("form", [FLOAT, STORED, "packed"])
@pytest.mark.parametrize("kind", ["matmul", "gemm", "table"])
def test_float16_models(kind: str, form: Form) -> None:
    model = model_of(kind, half=True)
    blocked, feed = nearest(model, Scheme()), feed_of(model)
    assert blocked["w"].scheme.half
    found, expected = answer(build(model, blocked, form), feed), answer(with_real_weights(model, blocked), feed)
    assert found.dtype == np.float16
    np.testing.assert_allclose(found.astype(float), expected.astype(float), atol=0.02 * np.abs(expected).max())


@pytest.mark.parametrize("form", [FLOAT, STORED])
def test_weights_in_constant_nodes(form: Form) -> None:
    model = model_of("gemm", constants=True)
    blocked, feed = nearest(model, Scheme()), feed_of(model)
    expected = answer(with_real_weights(model, blocked), feed)
    np.testing.assert_allclose(answer(build(model, blocked, form), feed), expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("kind", ["tied", "tied_gemm", "tied_copy"])
def test_a_tied_table_is_kept_once(kind: str) -> None:
    model = model_of(kind)
    made = build(model, nearest(model, Scheme()), FLOAT)
    sizes = [v.const_value.nbytes for v in made.graph.initializers.values() if v.const_value is not None]
    assert sum(sizes) < 96 * 64 / 2 + 96 * 2 * 4 + 96 + 200
    operators = Counter(n.op_type for n in made.graph)
    assert operators["MatMulNBits"] == operators["GatherBlockQuantized"] == 1


def test_layers_share_a_weight() -> None:
    model = model_of("shared")
    made = build(model, nearest(model, Scheme()), FLOAT)
    assert [n.op_type for n in made.graph] == ["MatMulNBits", "Relu", "MatMulNBits"]
    assert len({n.inputs[1] for n in made.graph if n.op_type == "MatMulNBits"}) == 1


def test_nodes_keep_their_names_and_the_source_its_graph() -> None:
    model = model_of("gemm")
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    made = build(model, nearest(model, Scheme()), "packed")
    assert [n.name for n in made.graph] == ["y"]
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before


def test_what_is_not_asked_for_stays_float() -> None:
    model = model_of("matmul")
    made = build(model, {}, "packed")
    np.testing.assert_array_equal(answer(made, feed_of(model)), answer(model, feed_of(model)))


LEFT = {
    "first factor": ("(float[96,N] x) => (float[48,N] y) { y = MatMul(w, x) }", (48, 96)),
    "turned input": ("(float[96,N] x) => (float[N,48] y) { y = Gemm<transA=1>(x, w) }", (96, 48)),
    "vector": ("(float[96] x) => (float[48] y) { y = MatMul(x, w) }", (96, 48)),
    "computed bias, scaled": ("(float[N,96] x, float[48] c) => (float[N,48] y) { y = Gemm<beta=2.0>(x, w, c) }", (96, 48)),
    "other axis": ("(int64[3] i) => (float[96,3] y) { y = Gather<axis=1>(w, i) }", (96, 48)),
    "also added": ("(float[96,96] x) => (float[96,96] y) { h = MatMul(x, w) y = Add(h, w) }", (96, 96)),
    "stack": ("(float[2,5,96] x) => (float[2,5,48] y) { y = MatMul(x, w) }", (2, 96, 48)),
    "small": ("(float[N,40] x) => (float[N,40] y) { y = MatMul(x, w) }", (40, 40)),
    "short rows": ("(float[N,8] x) => (float[N,900] y) { y = MatMul(x, w) }", (8, 900)),
}


@pytest.mark.parametrize("kind", LEFT)
def test_weights_that_no_kernel_takes_are_left(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, shape = LEFT[kind]
    monkeypatch.setitem(GRAPHS, "left", graph)
    monkeypatch.setitem(__import__("sys").modules[model_of.__module__].SHAPES, "left", shape)
    assert find_weights(model_of("left")) == []


def test_weights_that_are_not_finite_are_left() -> None:
    model = model_of("matmul")
    broken = draw(96, 48)
    broken[0, 0] = np.inf
    model.graph.initializers["w"].const_value = ir.tensor(broken, name="w")
    assert find_weights(model) == []


def test_wishes_of_the_user() -> None:
    assert find_weights(model_of("matmul"), lambda node: node.op_type != "MatMul") == []
    assert find_weights(model_of("table"), tables=False) == []
    assert find_weights(model_of("tied"), lambda node: node.op_type != "Gather") == []


@pytest.mark.parametrize("bits", [4, 8])
def test_zero_points_lie_beside_the_product(bits: int) -> None:
    """ONNX Runtime 1.24 to 1.28 finds those of products in branches nowhere else, and answers wrongly without a word."""
    model = model_of("branches")
    made = build(model, nearest(model, Scheme(bits, 32)), "packed")
    products = [node for graph in all_graphs(made) for node in graph if node.op_type == "MatMulNBits"]
    assert len(products) == 2
    assert all(node.inputs[3] is not None and node.inputs[3].graph is node.graph for node in products)
    assert len({node.inputs[1] for node in products}) == 1
    onnx.checker.check_model(ir.to_proto(made))


@pytest.mark.parametrize("width", [16, 48, 50, 80, 96, 128, 384, 400])
@pytest.mark.parametrize("size", [16, 32, 64, 128, 256])
def test_rows_of_a_table_have_an_even_number_of_zero_points(width: int, size: int) -> None:
    """ONNX Runtime 1.24 to 1.26 takes the wrong ones otherwise: two share a byte."""
    fitted = Scheme(4, size).fitted(width, table=True)
    possible = [s for s in SIZES if s <= size and -(-width // s) % 2 == 0]
    assert fitted.symmetric == (not possible)
    assert fitted.symmetric or fitted.size in possible
    assert fitted.size <= size


def test_a_table_of_one_group_a_row_has_none() -> None:
    assert Scheme(4, 16).fitted(48, table=True) == Scheme(4, 16, symmetric=True)
    assert Scheme(4, 128).fitted(16, table=True).symmetric
    assert not Scheme(8, 16).fitted(48, table=True).symmetric
    assert Scheme(4, 16).fitted(48) == Scheme(4, 16)


@pytest.mark.parametrize("width", [48, 80, 16])
def test_tables_answer_as_the_weights_they_stand_for(width: int) -> None:
    model = model_of("table")
    held = model.graph.initializers["w"]
    held.const_value = ir.tensor(draw(300, width), name="w")
    held.shape = ir.Shape([300, width])
    model.graph.outputs[0].shape = ir.Shape(["N", 3, width])
    weights = find_weights(model)
    blocked = round_all(model, weights, None, Scheme(4, 128), ["rtn"], silent)[0].blocked
    feed = feed_of(model)
    expected = answer(with_real_weights(model, blocked), feed)
    np.testing.assert_allclose(answer(build(model, blocked, FLOAT), feed), expected, atol=1e-6 * np.abs(expected).max())
