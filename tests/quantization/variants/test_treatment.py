"""What becomes of each node, and that the graph built from it is the same each time."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from optkit.quantization.float_graph.prepare import prepare
from optkit.quantization.graphs import add_constant, all_graphs
from optkit.quantization.integer_graph.regions import region_nodes
from optkit.quantization.variants.build import build
from optkit.quantization.variants.calibrate import calibrate
from optkit.quantization.variants.candidates import candidates
from optkit.quantization.variants.learned import Learned
from optkit.quantization.variants.treatment import Treatment, Way, consistent_ways

from ..tiny import Feed, answers, draw, fused, operators, read, saved, watcher

CNN = read(
    """(float[N,8,6,6] x) => (float[N,12] y) {
        c = Conv<pads=[1,1,1,1]>(x, w, b) r = Relu(c) d = Conv<pads=[1,1,1,1]>(r, v) s = Add(d, r) t = Tanh(s) e = Conv(t, u)
        a = Add(e, t) p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(a) k = Mul(p, half) f = Flatten(k) y = Gemm(f, g) }""",
    w=draw(8, 8, 3, 3),
    b=draw(8),
    v=draw(8, 8, 3, 3, seed=1),
    u=draw(8, 8, 1, 1, seed=2),
    g=draw(72, 12),
    half=np.full(1, 0.5, np.float32),
)
IMAGES = {"x": np.abs(draw(6, 8, 6, 6, seed=4))}
BOTH = read(
    "(float[N,8,10] x) => (float[N,10,10] y, float[N,8,12] z) { y = Conv(x, w) z = MatMul(x, v) }", w=draw(10, 8, 1), v=draw(10, 12)
)
BRANCHES = read(
    """(bool k, float[4,40] x) => (float[4,40] y) {
        h = MatMul(x, w)
        y = If (k) < then_branch = t () => (float[4,40] p) { m = MatMul(h, w) p = Relu(m) },
                     else_branch = e () => (float[4,40] q) { n = MatMul(h, v) q = MatMul(n, w) } > }""",
    w=draw(40, 40) / 6,
    v=draw(40, 40, seed=3) / 6,
)
MODELS: dict[str, tuple[ir.Model, Feed]] = {
    "convolutions": (CNN, IMAGES),
    "a convolution and a matrix product read one tensor": (BOTH, {"x": np.abs(draw(5, 8, 10, seed=4))}),
    "branches": (BRANCHES, {"x": draw(4, 40, seed=4), "k": np.array(True)}),
}


def learned_of(model: ir.Model, feed: Feed) -> tuple[list[Treatment], Learned]:
    found = candidates(model, "auto", "k" not in feed)
    given = watcher(**feed) if "k" not in feed else None
    return found, calibrate(model, found, given, "mse")


def names_of(nodes: list[ir.Node]) -> list[str]:
    return [str(n.name) for n in nodes]


@pytest.mark.parametrize("name", MODELS)
def test_the_same_bytes_each_time_and_the_source_unchanged(name: str) -> None:
    model, feed = MODELS[name]
    treatments, learned = learned_of(model, feed)
    add_constant(model.clone().graph, "w", np.zeros(1))  # whatever was built before
    before = saved(model)
    for treatment in treatments:
        assert saved(build(model, treatment, learned)) == saved(build(model, treatment, learned))
    assert saved(model) == before


@pytest.mark.parametrize("name", MODELS)
def test_every_variant_answers_much_like_the_float_model(name: str) -> None:
    model, feed = MODELS[name]
    treatments, learned = learned_of(model, feed)
    exact = answers(model, feed)
    for treatment in treatments:
        found = answers(build(model, treatment, learned), feed)
        noise = [float(((found[port] - truth) ** 2).sum() / (truth**2).sum()) for port, truth in exact.items()]
        assert max(noise) < 1e-2, treatment.name
        assert max(noise) > 0 or not treatment.ways, treatment.name


@pytest.mark.parametrize("name", MODELS)
def test_names_are_unique_in_branches_too(name: str) -> None:
    model, feed = MODELS[name]
    treatments, learned = learned_of(model, feed)
    for treatment in treatments:
        graphs = list(all_graphs(build(model, treatment, learned)))
        values = [v.name for g in graphs for v in (*g.inputs, *g.initializers.values(), *(o for n in g for o in n.outputs))]
        assert len(set(values)) == len(values), treatment.name
        nodes = [n.name for g in graphs for n in g]
        assert len(set(nodes)) == len(nodes), treatment.name


def test_regions_hold_what_reads_integers_only() -> None:
    layers = {n.outputs[0].name: n for n in CNN.graph if n.op_type in ("Conv", "Gemm")}
    # t is a float function, but e reads its integers, so e + t can
    assert names_of(region_nodes(CNN, layers.values(), ends=True)) == ["s", "a", "p", "k", "f"]
    assert names_of(region_nodes(CNN, layers.values(), lambda node: node.op_type != "Add")) == []
    # where e computes in float nothing makes an operand of e + t in integers
    assert names_of(region_nodes(CNN, [n for name, n in layers.items() if name != "e"], ends=True)) == ["s"]


def test_a_float_operand_that_no_layer_reads_keeps_what_reads_it_in_float() -> None:
    model = read("(float[N,8,6,6] x) => (float[N,8,6,6] y) { c = Conv(x, u) t = Tanh(x) a = Add(c, t) y = Conv(a, u) }", u=draw(8, 8, 1, 1))
    layers = [n for n in model.graph if n.op_type == "Conv"]
    assert names_of(region_nodes(model, layers)) == []
    beside = read("(float[N,8,6,6] x) => (float[N,8,6,6] y) { c = Conv(x, u) a = Add(c, x) y = Conv(a, u) }", u=draw(8, 8, 1, 1))
    assert names_of(region_nodes(beside, [n for n in beside.graph if n.op_type == "Conv"])) == ["a"]


def test_regions_go_on_through_pooling_and_constants() -> None:
    model = read(
        """(float[N,8,6,6] x) => (float[N,3] y) {
            c = Conv(x, u) r = Relu(c) p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(r) k = Mul(p, half) f = Flatten(k)
            y = Gemm(f, v) }""",
        u=draw(8, 8, 1, 1),
        half=np.full(1, 0.5, np.float32),
        v=draw(72, 3),
    )
    layers = [model.graph[0], model.graph[-1]]
    assert names_of(region_nodes(model, layers)) == ["p", "k", "f"]
    assert names_of(region_nodes(model, [])) == []
    assert names_of(region_nodes(model, layers[:1])) == []  # y computes in float, so nothing is gained before it
    assert names_of(region_nodes(model, layers[:1], ends=True)) == ["p", "k", "f"]


def test_all_parts_of_a_split_stay_in_regions_and_a_resize_of_pixels_does() -> None:
    model = read(
        """(float[1,8,6,6] x) => (float[1,8,12,12] y, float[1,4,6,6] b, float[1,8,12,12] z) {
            c = Conv(x, u) a, b = Split<axis=1>(c) k = Concat<axis=1>(b, a)
            r = Resize<mode="nearest">(k, none, scales) y = Conv(r, u)
            l = Resize<mode="linear">(c, none, scales) z = Conv(l, u) }""",
        u=draw(8, 8, 1, 1),
        none=np.zeros(0, np.float32),
        scales=np.array([1, 1, 2, 2], np.float32),
    )
    layers = [n for n in model.graph if n.op_type == "Conv"]
    assert names_of(region_nodes(model, layers)) == ["a", "k", "r"]


def test_softmax_and_integers_stay_out_of_regions() -> None:
    model = read(
        """(float[N,8,6,6] x) => (float[N,8,6,6] y, int64[4] h) {
            c = Conv(x, u) s = Softmax<axis=1>(c) y = Conv(s, u) z = Shape(c) h = Mul(z, z) }""",
        u=draw(8, 8, 1, 1),
    )
    assert region_nodes(model, [n for n in model.graph if n.op_type == "Conv"], ends=True) == []


def test_what_follows_a_node_given_back_goes_back_as_well() -> None:
    model = read(
        """(float[N,8,6,6] x) => (float[N,8,3,3] y) {
            c = Conv(x, u) a = Add(c, c) p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(a) y = Conv(p, u) }""",
        u=draw(8, 8, 1, 1),
    )
    (region, *_) = candidates(model, "static", True)
    assert set(consistent_ways(model, region)) == {"c", "a", "p", "y"}
    assert set(consistent_ways(model, region.without(["a"]))) == {"c", "y"}
    assert set(consistent_ways(model, region.without(["c"]))) == {"y"}
    assert set(consistent_ways(model, region.without(["y"]))) == {"c"}  # nothing computes in integers behind a and p


def test_layers_left_out_compute_in_float_with_stored_weights(tmp_path: Path) -> None:
    treatments, learned = learned_of(CNN, IMAGES)
    (static,) = [t for t in treatments if t.name == "static"]
    made = build(CNN, static.without(["d"]), learned)
    counts = fused(made, tmp_path)
    assert (counts["QLinearConv"], counts["Conv"] + counts["FusedConv"], counts["QGemm"]) == (2, 1, 1)
    stored = {str(v.name) for v in made.graph.initializers.values() if v.dtype == ir.DataType.INT8 and (v.const_value or _NONE).size > 500}
    assert {"w_int8", "g_int8"} <= stored


def test_without_compression_other_weights_stay_float() -> None:
    treatments, learned = learned_of(CNN, IMAGES)
    alone = build(CNN, Treatment("alone", {"y": Way.STATIC}, compress=False), learned)
    assert alone.graph.initializers["w"].dtype == ir.DataType.FLOAT
    assert operators(alone)["DequantizeLinear"] == 4
    assert treatments


def test_nothing_to_do_is_the_model_itself() -> None:
    made = build(CNN, Treatment("nothing", {}, compress=False), Learned())
    np.testing.assert_array_equal(answers(made, IMAGES)["y"], answers(CNN, IMAGES)["y"])
    assert operators(made) == operators(CNN)


def test_biases_make_up_for_rounding_where_means_are_known() -> None:
    model = read("(float[N,8,6,6] x) => (float[N,8,6,6] y) { y = Conv(x, w, b) }", w=draw(8, 8, 1, 1), b=draw(8))
    treatments, learned = learned_of(model, IMAGES)
    (static,) = [t for t in treatments if t.name == "static"]
    exact = answers(model, IMAGES)["y"].mean((0, 2, 3))
    off = {
        known: np.abs(
            answers(build(model, static, Learned(learned.grids, learned.means if known else {})), IMAGES)["y"].mean((0, 2, 3)) - exact
        )
        for known in (True, False)
    }
    assert off[True].max() < 0.5 * off[False].max()


def test_prepared_graphs_can_be_built_from() -> None:
    model = read(
        "(float[N,8,6,6] x) => (float[N,8,6,6] y) { c = Conv(x, w) n = BatchNormalization(c, s, s, s, s) y = Relu(n) }",
        w=draw(8, 8, 1, 1),
        s=np.abs(draw(8)) + 0.5,
    )
    ready = prepare(model).model
    treatments, learned = learned_of(ready, IMAGES)
    exact = answers(model, IMAGES)["y"]
    for treatment in treatments:
        found = answers(build(ready, treatment, learned), IMAGES)["y"]
        assert np.abs(found - exact).max() < 0.05 * np.abs(exact).max()


_NONE = ir.tensor(np.zeros(0, np.float32))
