"""Dynamic matrix products: numpy's integers exactly, and operators that ONNX Runtime fuses."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optkit.arrays import Array
from optkit.quantization.affine import quantize_weight
from optkit.quantization.graphs import constant_array
from optkit.quantization.integer_graph.insert_dynamic import can_be_dynamic, insert_dynamic
from optkit.quantization.integer_graph.saturation import fit_pairs
from optkit.quantization.operators import channel_axis, weight_of

from ..tiny import answers, draw, fused, operators, read, reference, saved

ROWS = draw(5, 24, seed=7)


def dynamic(model: ir.Model) -> ir.Model:
    """The main graph's matrix products made dynamic, with weights with which every CPU counts alike."""
    made = model.clone()
    nodes = [n for n in made.graph if can_be_dynamic(n)]
    insert_dynamic(made.graph, [str(n.name) for n in nodes], {str(n.name): portable(n) for n in nodes})
    return made


def portable(node: ir.Node) -> tuple[Array, Array]:
    weight = constant_array(node.inputs[1])
    assert weight is not None
    return fit_pairs(node, weight, *quantize_weight(weight, channel_axis(node)))


def product(rows: Array, integers: Array, scale: Array) -> Array:
    """What DynamicQuantizeLinear and MatMulInteger say, in numpy; the sum is exact."""
    low, high = min(np.float32(0), rows.min()), max(np.float32(0), rows.max())
    step = np.float32((high - low) / np.float32(255))
    zero = np.clip(np.rint(np.float32(0 - low) / step), 0, 255) if step else np.float32(0)
    quantized = np.clip(np.rint(rows / (step or np.float32(1))) + zero, 0, 255).astype(np.int64)
    sums = (quantized - int(zero)) @ integers.astype(np.int64)
    return np.asarray(sums.astype(np.float32) * (step * scale))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.floats(1e-3, 1e3), st.integers(1, 40), st.integers(1, 9))
def test_it_is_integer_arithmetic_to_the_last_bit(seed: int, size: float, depth: int, width: int) -> None:
    rows, weight = draw(4, depth, seed=seed, scale=size), draw(depth, width, seed=seed + 1)
    model = read(f"(float[N,{depth}] x) => (float[N,{width}] y) {{ y = MatMul(x, w) }}", w=weight)
    expected = product(rows, *portable(model.graph[0]))
    made = dynamic(model)
    for found in (answers(made, {"x": rows}, optimize=False), reference(made, {"x": rows})):
        np.testing.assert_array_equal(found["y"], expected)
    np.testing.assert_allclose(answers(made, {"x": rows})["y"], expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("graph", "bias"),
    [
        ("y = MatMul(x, w)", None),
        ("y = Gemm(x, w)", None),
        ("y = Gemm(x, w, b)", draw(6)),
        ("y = Gemm<transB=1>(x, t, b)", draw(1, 6)),
        ("y = Gemm<transB=1>(x, t, b)", draw(5, 1)),
        ("y = Gemm<transB=1>(x, t, b)", np.float32(0.5)),
    ],
)
def test_bias_and_transposed_weights(graph: str, bias: Array | None, tmp_path: Path) -> None:
    weight = draw(24, 6)
    weights: dict[str, Any] = {
        "t" if "t," in graph else "w": weight.T if "t," in graph else weight,
        **({} if bias is None else {"b": bias}),
    }
    model = read(f"(float[5,24] x) => (float[5,6] y) {{ {graph} }}", **weights)
    if bias is not None and np.shape(bias) == (5, 1):
        assert not can_be_dynamic(model.graph[0])
        return
    made = dynamic(model)
    expected = product(ROWS, *_columns(portable(model.graph[0]), "t," in graph)) + (0 if bias is None else bias)
    np.testing.assert_allclose(answers(made, {"x": ROWS})["y"], expected, rtol=1e-5, atol=1e-5)
    assert fused(made, tmp_path) == {"DynamicQuantizeMatMul": 1, **({"Add": 1} if isinstance(bias, np.float32) else {})}
    exact = answers(model, {"x": ROWS})["y"]
    assert 0 < np.abs(expected - exact).max() < 0.05 * np.abs(exact).max()


def _columns(weights: tuple[Array, Array], transposed: bool) -> tuple[Array, Array]:
    return (weights[0].T if transposed else weights[0]), weights[1]


def test_products_with_one_input_quantize_it_once(tmp_path: Path) -> None:
    model = read(
        "(float[N,24] x) => (float[N,6] y) { q = MatMul(x, w) k = MatMul(x, v) s = Add(q, k) g = Gemm(x, u) y = Add(s, g) }",
        w=draw(24, 6),
        v=draw(24, 6, seed=1),
        u=draw(24, 6, seed=2),
    )
    made = dynamic(model)
    assert operators(made)["DynamicQuantizeLinear"] == 1
    counts = fused(made, tmp_path)
    assert (counts["DynamicQuantizeLinear"], counts["MatMulIntegerToFloat"]) == (1, 3)
    nodes = {str(n.name): n for n in model.graph}
    expected = sum(product(ROWS, *portable(nodes[name])) for name in "qkg")
    np.testing.assert_allclose(answers(made, {"x": ROWS})["y"], expected, rtol=1e-4, atol=1e-4)


def test_every_leading_axis_may_be_free() -> None:
    model = read("(float[A,B,24] x) => (float[A,B,6] y) { m = MatMul(x, w) y = Relu(m) }", w=draw(24, 6))
    made = dynamic(model)
    for shape in ((1, 1, 24), (2, 3, 24)):
        feed = {"x": draw(*shape, seed=3)}
        np.testing.assert_allclose(answers(made, feed)["y"], reference(made, feed)["y"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 3.0, -3.0, 1e-30, 1e30])
def test_a_constant_input(value: float) -> None:
    model = read("(float[N,24] x) => (float[N,6] y) { y = MatMul(x, w) }", w=draw(24, 6) * 1e-3)
    made = dynamic(model)
    feed = {"x": np.full((2, 24), value, np.float32)}
    exact = answers(model, feed)["y"]
    found = answers(made, feed)["y"]
    assert np.isfinite(found).all()
    if value == 0 or abs(value) > 1e-20:
        np.testing.assert_allclose(found, exact, rtol=0.02, atol=0.02 * np.abs(exact).max())


def test_branches_have_products_of_their_own(tmp_path: Path) -> None:
    model = read(
        """(bool k, float[5,24] x) => (float[5,6] y) {
            y = If (k) < then_branch = t () => (float[5,6] p) { m = MatMul(x, w) p = Relu(m) },
                         else_branch = e () => (float[5,6] q) { q = Gemm<transB=1>(x, v, b) } > }""",
        w=draw(24, 6),
        v=draw(6, 24, seed=1),
        b=draw(6),
    )
    before = saved(model)
    made = model.clone()
    for graph in made.graph.subgraphs():
        insert_dynamic(graph, ["m", "q"])
    assert saved(model) == before
    assert fused(made, tmp_path)["DynamicQuantizeMatMul"] == 2
    for k in (True, False):
        feed = {"k": np.array(k), "x": ROWS}
        exact = answers(model, feed)["y"]
        np.testing.assert_allclose(answers(made, feed)["y"], reference(made, feed)["y"], rtol=1e-5, atol=1e-5)
        assert np.abs(answers(made, feed)["y"] - exact).max() < 0.05 * np.abs(exact).max()


def test_only_matrix_products_with_constant_weights_are_taken() -> None:
    model = read(
        """(float[2,4,4,4] x) => (float[2,4,4,4] c, float[2,4,4,4] p, float[2,4,4,4] s, float[2,4,4,4] d) {
            c = Conv(x, k) p = MatMul(x, c) s = MatMul(x, batch) d = MatMul(two, x) }""",
        k=draw(4, 4, 1, 1),
        batch=draw(4, 4, 4),
        two=draw(4, 4),
    )
    assert [can_be_dynamic(n) for n in model.graph] == [False] * 4
    assert [weight_of(n) is not None for n in model.graph] == [True, False, False, False]
    odd = """(float[4,4] x) => (float[4,4] a, float[4,4] b, float[4,4] t) {
        a = Gemm<alpha=2.0>(x, w) b = Gemm<beta=0.5>(x, w, w) t = Gemm<transA=1>(x, w) }"""
    assert not any(can_be_dynamic(n) for n in read(odd, w=draw(4, 4)).graph)


def test_outputs_keep_their_names_and_the_source_its_bytes() -> None:
    model = read("(float[N,24] x) => (float[N,6] y, float[N,6] z) { y = MatMul(x, w) z = Relu(y) }", w=draw(24, 6))
    before = saved(model)
    made = dynamic(model)
    assert saved(model) == before
    assert [(v.name, str(v.type), str(v.shape)) for v in made.graph.outputs] == [
        (v.name, str(v.type), str(v.shape)) for v in model.graph.outputs
    ]
    np.testing.assert_array_equal(answers(made, {"x": ROWS})["z"], np.maximum(answers(made, {"x": ROWS})["y"], 0))


def test_layers_with_one_weight_share_its_integers() -> None:
    model = read("(float[N,24] x) => (float[N,24] y) { a = MatMul(x, w) b = Relu(a) y = MatMul(b, w) }", w=draw(24, 24))
    stored = [v for v in dynamic(model).graph.initializers.values() if v.dtype == ir.DataType.INT8 and v.shape == (24, 24)]
    assert len(stored) == 1
