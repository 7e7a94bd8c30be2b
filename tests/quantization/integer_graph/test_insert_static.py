"""Q/DQ graphs: the same numbers in ONNX's reference evaluator and in ONNX Runtime, which must run them in integers."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from optkit.arrays import Array
from optkit.quantization.affine import Grid, quantize_weight
from optkit.quantization.graphs import constant_array
from optkit.quantization.integer_graph.insert_static import insert_static, tensors_to_observe
from optkit.quantization.integer_graph.regions import region_nodes
from optkit.quantization.integer_graph.saturation import fit_pairs
from optkit.quantization.operators import channel_axis, weight_of, weighted_nodes
from optkit.quantization.variants.build import shared_grids

from ..tiny import Feed, answers, draw, fused, grids_for, operators, read, reference, saved

IMAGE = {"x": draw(2, 8, 6, 6, seed=7)}
ROWS = {"x": draw(3, 12, seed=7)}
GRAPHS: dict[str, tuple[ir.Model, Feed]] = {
    "a residual block and a classifier": (
        read(
            """(float[N,8,6,6] x) => (float[N,5] y) {
                c = Conv<pads=[1,1,1,1]>(x, w, b) r = Relu(c) d = Conv<pads=[1,1,1,1]>(r, v) s = Add(d, r) t = Relu(s)
                m = MaxPool<kernel_shape=[2,2], strides=[2,2]>(t) a = GlobalAveragePool(m) f = Flatten(a) y = Gemm<transB=1>(f, g, h) }""",
            w=draw(8, 8, 3, 3),
            b=draw(8),
            v=draw(8, 8, 3, 3, seed=1),
            g=draw(5, 8),
            h=draw(5),
        ),
        IMAGE,
    ),
    "depthwise, grouped, ReLU6": (
        read(
            """(float[N,8,6,6] x) => (float[N,4,4,4] y) {
                c = Conv<group=8, pads=[1,1,1,1]>(x, w, b) k = Clip(c, zero, six) d = Conv<group=2>(k, v, e) y = Clip(d, zero, six) }""",
            w=draw(8, 1, 3, 3),
            b=draw(8),
            v=draw(4, 4, 3, 3, seed=1),
            e=draw(4),
            zero=0.0,
            six=6.0,
        ),
        IMAGE,
    ),
    "one dimension": (
        read(
            "(float[N,8,20] x) => (float[N,6,9] y) { c = Conv<strides=[2]>(x, w, b) r = Relu(c) y = Conv(r, v) }",
            w=draw(4, 8, 3),
            b=draw(4),
            v=draw(6, 4, 1),
        ),
        {"x": draw(2, 8, 20, seed=7)},
    ),
    "one weight for two layers": (
        read(
            "(float[N,8,6,6] x) => (float[N,8,6,6] y) { c = Conv<pads=[1,1,1,1]>(x, w) r = Relu(c) y = Conv<pads=[1,1,1,1]>(r, w) }",
            w=draw(8, 8, 3, 3),
        ),
        IMAGE,
    ),
    "one input for two layers": (
        read(
            "(float[N,8,6,6] x) => (float[N,4,6,6] y, float[N,2,4,4] z) { y = Conv(x, w, b) z = Conv(x, v) }",
            w=draw(4, 8, 1, 1),
            b=draw(4),
            v=draw(2, 8, 3, 3),
        ),
        IMAGE,
    ),
    "outputs in the middle": (
        read(
            """(float[N,8,6,6] x) => (float[N,4,6,6] r, float[N,4,6,6] y, float[N,8,6,6] a) {
                a = Abs(x) c = Conv(a, w, b) r = Relu(c) y = Conv(r, v) }""",
            w=draw(4, 8, 1, 1),
            b=draw(4),
            v=draw(4, 4, 1, 1),
        ),
        IMAGE,
    ),
    "weights either way round, biases of every form": (
        read(
            """(float[N,12] x) => (float[N,6] y) {
                a = Gemm(x, k, b) r = Relu(a) c = Gemm<transB=1>(r, l, row) d = Gemm(c, m) y = Gemm<transB=1>(d, n, one) }""",
            k=draw(12, 9),
            b=draw(9),
            l=draw(7, 9),
            row=draw(1, 7),
            m=draw(7, 8),
            n=draw(6, 8),
            one=0.75,
        ),
        ROWS,
    ),
    "leaky, with a floor": (
        read(
            """(float[N,8,6,6] x) => (float[N,4,4,4] y) {
                c = Conv<pads=[1,1,1,1]>(x, w, b) l = LeakyRelu<alpha=0.2>(c) k = Clip(l, floor) y = Conv(k, v) }""",
            w=draw(8, 8, 3, 3),
            b=draw(8),
            v=draw(4, 8, 3, 3, seed=1),
            floor=-0.4,
        ),
        IMAGE,
    ),
    "moved, joined and pooled": (
        read(
            """(float[N,8,6,6] x) => (float[N,72,4] y) {
                c = Conv(x, w, b) d = Conv(x, v) e = LeakyRelu<alpha=0.1>(d) j = Concat<axis=1>(c, e) p = AveragePool<kernel_shape=[2,2]>(j)
                q = MaxPool<kernel_shape=[2,2]>(j) s = Add(p, q) m = Mul(s, k) t = Transpose<perm=[0,2,3,1]>(m) f = Reshape(t, shape)
                u = Add(f, k) y = Conv(u, o) }""",
            w=draw(4, 8, 1, 1),
            b=draw(4),
            v=draw(4, 8, 1, 1, seed=1),
            k=draw(1),
            shape=np.array([0, 25, 8], np.int64),
            o=draw(72, 25, 5),
        ),
        IMAGE,
    ),
}


def quantized(
    model: ir.Model, feed: Feed, float_outputs: Collection[str] = (), opset: int | None = None
) -> tuple[ir.Model, dict[str, Grid]]:
    """The graph with everything in integers that can be, on grids that cover what `feed` gives."""
    made = model.clone()
    if opset is not None:
        made.opset_imports[""] = opset
    layers = weighted_nodes(made)
    nodes = [*layers, *region_nodes(made, [n for n in layers if n.name not in float_outputs])]
    names = [str(n.name) for n in nodes]
    grids = shared_grids(made, names, grids_for(made, tensors_to_observe(nodes, float_outputs), feed))
    insert_static(made, names, grids, float_outputs, {str(n.name): portable(n) for n in layers})
    return made, grids


def portable(node: ir.Node) -> tuple[Array, Array]:
    """Weights with which every CPU counts alike."""
    weight = constant_array(node.inputs[1])
    assert weight is not None
    return fit_pairs(node, weight, *quantize_weight(weight, channel_axis(node)))


@pytest.mark.parametrize("name", GRAPHS)
def test_it_runs_as_the_reference_evaluator_says_and_close_to_float(name: str) -> None:
    model, feed = GRAPHS[name]
    made, grids = quantized(model, feed)
    expected, found, exact = reference(made, feed), answers(made, feed), answers(model, feed)
    for port, array in found.items():
        if port == "a":  # an integer layer reads it, a float one writes it
            np.testing.assert_array_equal(array, exact[port])
            continue
        # ONNX Runtime adds in integers and rounds once; a value in the middle between two steps may go the other way
        assert np.abs(array - expected[port]).max() <= grids[port].scale * 1.001
        assert 0 < np.abs(array - exact[port]).max() <= 0.05 * np.abs(exact[port]).max()


@pytest.mark.parametrize("name", GRAPHS)
def test_onnx_runtime_computes_all_of_it_in_integers(name: str, tmp_path: Path) -> None:
    model, feed = GRAPHS[name]
    before, after = operators(model), fused(quantized(model, feed)[0], tmp_path)
    assert after["QLinearConv"] == before["Conv"]
    assert after["QGemm"] == before["Gemm"]
    assert after["QLinearAdd"] == before["Add"]
    assert after["QLinearMul"] == before["Mul"]
    float_only = {
        "Conv",
        "FusedConv",
        "Gemm",
        "FusedGemm",
        "Add",
        "Mul",
        "Relu",
        "Clip",
        "LeakyRelu",
        "GlobalAveragePool",
        "AveragePool",
        "Concat",
    }
    assert not float_only & set(after)


@pytest.mark.parametrize("name", GRAPHS)
def test_ports_and_the_source_stay_as_they_were(name: str) -> None:
    model, feed = GRAPHS[name]
    before = saved(model)
    made, _ = quantized(model, feed)
    assert saved(model) == before

    def ports(held: ir.Model) -> list[tuple[str, ...]]:
        return [tuple(map(str, (v.name, v.type, v.shape))) for v in (*held.graph.inputs, *held.graph.outputs)]

    assert ports(made) == ports(model)


@pytest.mark.parametrize("opset", [13, 14, 15, 16, 18, 19, 20, 21])
def test_every_opset_with_scales_per_channel(opset: int, tmp_path: Path) -> None:
    model, feed = GRAPHS["a residual block and a classifier"]
    made, grids = quantized(model, feed, opset=opset)
    assert np.abs(answers(made, feed)["y"] - reference(made, feed)["y"]).max() <= grids["y"].scale * 1.001
    assert not {"Conv", "FusedConv", "Gemm", "Add", "Relu"} & set(fused(made, tmp_path))


def test_matrix_products_may_give_floats(tmp_path: Path) -> None:
    model = read("(float[N,4,12] x) => (float[N,4,6] y) { m = MatMul(x, w) a = Add(m, b) y = Tanh(a) }", w=draw(12, 6), b=draw(6))
    feed = {"x": draw(3, 4, 12, seed=7)}
    made, _ = quantized(model, feed, float_outputs=["m"])
    assert fused(made, tmp_path) == {"QuantizeLinear": 1, "MatMulIntegerToFloat": 1, "Add": 1, "Tanh": 1}
    np.testing.assert_allclose(answers(made, feed)["y"], reference(made, feed)["y"], atol=1e-5)


def test_a_branch_reads_the_value_behind_the_pair() -> None:
    model = read(
        """(float[2,8,6,6] x, bool k) => (float[2,4,6,6] y) {
            c = Conv(x, w) r = Relu(c) d = Conv(r, v)
            y = If (k) < then_branch = t () => (float[2,4,6,6] p) { p = Neg(r) },
                         else_branch = e () => (float[2,4,6,6] q) { q = Neg(d) } > }""",
        w=draw(4, 8, 1, 1),
        v=draw(4, 4, 1, 1),
    )
    for k in (True, False):
        feed = {**IMAGE, "k": np.array(k)}
        made, grids = quantized(model, feed)
        found = answers(made, feed)["y"]
        assert np.abs(found - reference(made, feed)["y"]).max() <= grids["r" if k else "d"].scale * 1.001
        assert len(np.unique(found)) <= 256


def test_a_layer_left_out_stays_float_between_integer_ones(tmp_path: Path) -> None:
    model, feed = GRAPHS["a residual block and a classifier"]
    nodes = [n for n in model.graph if n.name in ("c", "y")]
    made = model.clone()
    insert_static(made, ["c", "y"], grids_for(model, tensors_to_observe(nodes), feed))
    counts = fused(made, tmp_path)
    assert (counts["QLinearConv"], counts["QGemm"], counts["Conv"] + counts["FusedConv"]) == (1, 1, 1)
    exact = answers(model, feed)["y"]
    assert np.abs(answers(made, feed)["y"] - exact).max() <= 0.03 * np.abs(exact).max()


def test_layers_with_one_weight_share_its_integers() -> None:
    model, feed = GRAPHS["one weight for two layers"]
    made, _ = quantized(model, feed)
    stored = [
        v for v in made.graph.initializers.values() if v.dtype == ir.DataType.INT8 and v.const_value is not None and v.const_value.size > 8
    ]
    assert len(stored) == 1


def test_weights_already_chosen_are_used() -> None:
    model = read("(float[N,12] x) => (float[N,6] y) { y = Gemm(x, w) }", w=draw(12, 6))
    integers, scale = np.full((12, 6), 3, np.int8), np.full(6, 0.25, np.float32)
    made = model.clone()
    insert_static(made, ["y"], grids_for(model, ["x"], ROWS), float_outputs=["y"], weights={"y": (integers, scale)})
    (grid,) = grids_for(model, ["x"], ROWS).values()
    np.testing.assert_allclose(answers(made, ROWS)["y"], grid.round_trip(ROWS["x"]).sum(1, keepdims=True).repeat(6, 1) * 0.75, atol=1e-4)


@pytest.mark.parametrize("bias", [(3, 6), (3, 1)])
def test_a_gemm_that_adds_to_rows_is_not_taken(bias: tuple[int, int]) -> None:
    model = read("(float[3,12] x) => (float[3,6] y) { y = Gemm(x, w, b) }", w=draw(12, 6), b=draw(*bias))
    assert weight_of(model.graph[0]) is None


@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-9, 1e-5])
@pytest.mark.parametrize("graph", ["y = Conv(x, w, b)", "y = Gemm<transB=1>(x, w, b)", "y = Gemm(x, v, b)"])
def test_a_channel_with_next_to_no_weights_keeps_its_bias(graph: str, size: float) -> None:
    weight = draw(6, 12)
    weight[0] *= size
    feed = {"x": draw(4, 12, seed=8)}
    shape = "N,12"
    if "Conv" in graph:
        weight, feed, shape = weight[..., None], {"x": draw(4, 12, 5, seed=8)}, "N,12,5"
    weights: dict[str, Any] = {"v": weight.T} if "(x, v" in graph else {"w": weight}
    model = read(f"(float[{shape}] x) => (float[{shape.replace('12', '6')}] y) {{ {graph} }}", b=np.full(6, 3, np.float32), **weights)
    made, grids = quantized(model, feed)
    exact = answers(model, feed)["y"]
    for found in (answers(made, feed)["y"], reference(made, feed)["y"]):
        assert np.abs(found - exact)[:, 0].max() <= grids["y"].scale
        assert np.abs(found - exact).max() <= 0.05 * np.abs(exact).max()


def test_a_bias_far_above_what_its_input_can_add() -> None:
    model = read("(float[N,12] x) => (float[N,6] y) { y = Gemm(x, w, b) }", w=draw(12, 6), b=draw(6, seed=1))
    feed = {"x": draw(4, 12, seed=8, scale=1e-10)}
    made, grids = quantized(model, feed)
    assert np.abs(answers(made, feed)["y"] - answers(model, feed)["y"]).max() <= grids["y"].scale


def test_a_shape_is_read_off_the_integers(tmp_path: Path) -> None:
    model = read(
        """(float[N,8,6,6] x) => (float[N,8,6,6] y, int64[4] h) { c = Conv(x, w) h = Shape(c) y = Conv(c, w) }""",
        w=draw(8, 8, 1, 1),
    )
    feed = {"x": draw(3, 8, 6, 6)}
    nodes = weighted_nodes(model)
    insert_static(model, [str(n.name) for n in nodes], grids_for(model, tensors_to_observe(nodes), feed))
    shape = next(n for n in model.graph if n.op_type == "Shape")
    made_by = shape.inputs[0].producer() if shape.inputs[0] is not None else None
    assert made_by is not None
    assert made_by.op_type == "QuantizeLinear"
    assert answers(model, feed)["h"].tolist() == [3, 8, 6, 6]
    assert fused(model, tmp_path)["QLinearConv"] == 2


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("d = Div(c, root) e = Erf(d) p = Add(e, one) m = Mul(c, p) a = Mul(m, half)", "Gelu"),
        ("s = Sigmoid(c) a = Mul(c, s)", "QuickGelu"),
    ],
)
def test_activations_of_several_nodes_stay_one_between_integer_layers(tmp_path: Path, body: str, found: str) -> None:
    model = read(
        f"(float[N,8,6,6] x) => (float[N,8,6,6] y) {{ c = Conv(x, w) {body} y = Conv(a, v) }}",
        13,
        w=draw(8, 8, 1, 1),
        v=draw(8, 8, 1, 1, seed=1),
        root=np.float32(2**0.5),
        one=np.float32(1),
        half=np.float32(0.5),
    )
    nodes = weighted_nodes(model)
    grids = grids_for(model, tensors_to_observe(nodes), IMAGE)
    insert_static(model, {str(n.name) for n in nodes}, grids)
    np.testing.assert_allclose(answers(model, IMAGE)["y"], reference(model, IMAGE)["y"], atol=0.1)
    made = fused(model, tmp_path)
    assert (made[found], made["QLinearConv"]) == (1, 2)
