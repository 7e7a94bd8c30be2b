"""Corrected biases: the layer's mean output on the same data is the float layer's."""

import numpy as np
import onnx_ir as ir
import pytest

from optkit.arrays import Array
from optkit.quantization.calibration.means import ChannelMeans, channel_means, source_of
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.graphs import constant_array
from optkit.quantization.operators import channel_axis
from optkit.quantization.rounding.bias import correct_bias, mean_output

from ..tiny import Feed, answers, draw, examples, grids_for, read, watcher

# positive, as after an activation: the mean is most of it
IMAGE = np.abs(draw(6, 8, 5, 5, seed=3))
ROWS = np.abs(draw(6, 3, 8, seed=3))
LAYERS: dict[str, tuple[str, dict[str, Array | float], Array]] = {
    "convolution": ("(float[N,8,5,5] x) => (float[N,4,5,5] y) { y = Conv(x, w, b) }", {"w": draw(4, 8, 1, 1), "b": draw(4)}, IMAGE),
    "convolution without bias": ("(float[N,8,5,5] x) => (float[N,4,5,5] y) { y = Conv(x, w) }", {"w": draw(4, 8, 1, 1)}, IMAGE),
    "depthwise": ("(float[N,8,5,5] x) => (float[N,8,5,5] y) { y = Conv<group=8>(x, w, b) }", {"w": draw(8, 1, 1, 1), "b": draw(8)}, IMAGE),
    "grouped": ("(float[N,8,5,5] x) => (float[N,6,5,5] y) { y = Conv<group=2>(x, w) }", {"w": draw(6, 4, 1, 1)}, IMAGE),
    "gemm": ("(float[N,8] x) => (float[N,5] y) { y = Gemm(x, w, b) }", {"w": draw(8, 5), "b": draw(5)}, ROWS[:, 0]),
    "transposed gemm": ("(float[N,8] x) => (float[N,5] y) { y = Gemm<transB=1>(x, w, b) }", {"w": draw(5, 8), "b": draw(1, 5)}, ROWS[:, 0]),
    "gemm, one bias for all": ("(float[N,8] x) => (float[N,5] y) { y = Gemm<transB=1>(x, w, b) }", {"w": draw(5, 8), "b": 0.5}, ROWS[:, 0]),
    "matrix product": ("(float[N,3,8] x) => (float[N,3,5] y) { m = MatMul(x, w) y = Add(b, m) }", {"w": draw(8, 5), "b": draw(5)}, ROWS),
}


def coarse(node: ir.Node) -> tuple[Array, Array]:
    """A layer's weight, and one rounded so that it shows: to sevenths of the largest, downwards."""
    weight = constant_array(node.inputs[1])
    assert weight is not None
    step = np.abs(weight).max() / 7
    return weight, (np.floor(weight / step) * step).astype(np.float32)


def mean_of(array: Array, node: ir.Node) -> Array:
    axis = 1 if node.op_type == "Conv" else array.ndim - 1
    return np.asarray(array.mean(axis=tuple(a for a in range(array.ndim) if a != axis), dtype=np.float64))


def layer(name: str) -> tuple[ir.Model, ir.Node, Feed]:
    graph, weights, x = LAYERS[name]
    model = read(graph, 17, **weights)
    return model, model.graph[0], {"x": x}


@pytest.mark.parametrize("name", LAYERS)
def test_the_mean_output_of_every_channel_is_that_of_the_float_layer(name: str) -> None:
    model, node, feed = layer(name)
    means = channel_means(model, [node], {}, watcher(**feed))
    expected = mean_of(answers(model, feed)["y"], node)
    weight, rounded = coarse(node)
    model.graph.initializers["w"].const_value = ir.tensor(rounded)
    before = mean_of(answers(model, feed)["y"], node)
    assert correct_bias(model.graph, node, weight, rounded, means[source_of(node)], activations=False)
    after = mean_of(answers(model, feed)["y"], node)
    assert np.abs(before - expected).max() > 0.1
    np.testing.assert_allclose(after, expected, atol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_rounded_inputs_are_made_up_for_as_well(name: str) -> None:
    model, node, feed = layer(name)
    (grid,) = grids_for(model, ["x"], {"x": feed["x"] * 0.5}).values()  # half of the range is cut off
    means = channel_means(model, [node], {"x": grid}, watcher(**feed))
    expected = mean_of(answers(model, feed)["y"], node)
    weight, rounded = coarse(node)
    model.graph.initializers["w"].const_value = ir.tensor(rounded)
    assert correct_bias(model.graph, node, weight, rounded, means[source_of(node)], activations=True)
    after = mean_of(answers(model, {"x": grid.round_trip(feed["x"])})["y"], node)
    np.testing.assert_allclose(after, expected, atol=1e-5)


@pytest.mark.parametrize(("kernel", "group"), [((3, 3), 1), ((3, 3), 2), ((1, 5), 8)])
def test_mean_output_of_a_convolution_at_inner_positions(kernel: tuple[int, int], group: int) -> None:
    weight = draw(8, 8 // group, *kernel)
    model = read(f"(float[N,8,9,9] x) => (float[N,8,H,W] y) {{ y = Conv<group={group}>(x, w) }}", w=weight)
    # the same at every position, so that borders do not matter
    x = np.broadcast_to(draw(1, 8, 1, 1, seed=5), (1, 8, 9, 9)).copy()
    found = mean_output(model.graph[0], weight, x[0, :, 0, 0].astype(np.float64))
    np.testing.assert_allclose(found, answers(model, {"x": x})["y"][0, :, 0, 0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "graph",
    [
        "(float[N,3,8] x) => (float[N,3,5] y) { y = MatMul(x, w) }",
        "(float[N,3,8] x) => (float[N,3,5] y) { m = MatMul(x, w) y = Relu(m) }",
        "(float[N,3,8] x) => (float[N,3,5] y, float[N,3,5] z) { m = MatMul(x, w) y = Add(m, b) z = Relu(m) }",
        "(float[N,3,8] x) => (float[N,3,5] y, float[N,3,5] m) { m = MatMul(x, w) y = Add(m, b) }",
        "(float[N,3,8] x) => (float[N,3,5] y) { m = MatMul(x, w) s = Sigmoid(m) y = Add(m, s) }",
    ],
)
def test_a_product_without_a_bias_of_its_own_is_left_alone(graph: str) -> None:
    model = read(graph, w=draw(8, 5), b=draw(5))
    weight, rounded = coarse(model.graph[0])
    before = str(model.graph)
    assert not correct_bias(model.graph, model.graph[0], weight, rounded, ChannelMeans(np.ones(8), None), activations=False)
    assert str(model.graph) == before


def test_a_bias_that_is_computed_is_left_alone() -> None:
    model = read("(float[N,8] x) => (float[N,5] y) { c = Neg(b) y = Gemm(x, w, c) }", w=draw(8, 5), b=draw(5))
    node = model.graph[1]
    assert not correct_bias(model.graph, node, *coarse(node), ChannelMeans(np.ones(8), None), activations=False)
    assert node.inputs[2] is model.graph[0].outputs[0]


def test_means_that_are_not_finite_change_nothing() -> None:
    model, node, _ = layer("gemm")
    assert not correct_bias(model.graph, node, *coarse(node), ChannelMeans(np.full(8, np.nan), None), activations=False)


def test_a_shared_bias_is_corrected_for_one_layer_only() -> None:
    model = read("(float[N,8] x) => (float[N,8] y) { a = Gemm(x, w, b) y = Gemm(a, v, b) }", w=draw(8, 8), v=draw(8, 8), b=draw(8))
    weight, rounded = coarse(model.graph[0])
    assert correct_bias(model.graph, model.graph[0], weight, rounded, ChannelMeans(np.ones(8), None), activations=False)
    np.testing.assert_array_equal(constant_array(model.graph[1].inputs[2]), draw(8))
    corrected = constant_array(model.graph[0].inputs[2])
    assert corrected is not None
    np.testing.assert_allclose(corrected, draw(8) + (weight - rounded).sum(0), atol=1e-5)


def test_means_by_numpy_in_both_layouts() -> None:
    model = read(
        "(float[N,8,6] x) => (float[N,4,6] y, float[N,8,3] z) { r = Relu(x) y = Conv(r, w) z = MatMul(r, v) }",
        w=draw(4, 8, 1),
        v=draw(6, 3),
    )
    x = draw(5, 8, 6, seed=9)
    nodes = [n for n in model.graph if n.op_type != "Relu"]
    grids = grids_for(model, ["r"], {"x": x})
    seen: list[tuple[str, int, int]] = []
    means = channel_means(model, nodes, grids, Watcher(examples(x=x), progress=lambda *state: seen.append(state)))
    positive = np.maximum(x, 0)
    for node, axes in zip(nodes, [(0, 2), (0, 1)], strict=True):
        found = means[source_of(node)]
        np.testing.assert_allclose(found.plain, positive.mean(axes, dtype=np.float64), rtol=1e-6)
        assert found.rounded is not None
        np.testing.assert_allclose(found.rounded, grids["r"].round_trip(positive).mean(axes, dtype=np.float64), rtol=1e-6)
    assert seen[-1][1:] == (5, 5)
    assert [channel_axis(n) for n in nodes] == [0, 1]
