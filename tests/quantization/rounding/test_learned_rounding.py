"""Learned rounding: never worse on what it learned from, within the integers' limits, patches as the convolution itself takes them."""

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optkit.arrays import Array
from optkit.quantization.affine import quantize_weight, round_weight
from optkit.quantization.calibration.patch_moments import as_rows, patch_moments
from optkit.quantization.integer_graph.saturation import fit_pairs, worst_pair_sums
from optkit.quantization.operators import channel_axis
from optkit.quantization.rounding.learned_rounding import Rounded, energy, from_rows, learn_rounding, round_weights, row_errors
from optkit.quantization.variants.build import build
from optkit.quantization.variants.learned import Learned
from optkit.quantization.variants.treatment import Treatment, Way

from ..tiny import answers, draw, read, watcher

LAYERS = {
    "conv": ("float[N,4,7,6] x", "Conv<pads=[1,0,1,2], strides=[2,1]>(x, w)", (5, 4, 3, 2)),
    "dilated": ("float[N,4,7,6] x", "Conv<dilations=[2,1]>(x, w)", (5, 4, 2, 3)),
    "same": ("float[N,4,7,6] x", 'Conv<auto_pad="SAME_UPPER", strides=[2,2]>(x, w)', (5, 4, 3, 3)),
    "grouped": ("float[N,4,7,6] x", "Conv<group=2>(x, w)", (6, 2, 2, 2)),
    "depthwise": ("float[N,4,7,6] x", "Conv<group=4, pads=[1,1,1,1]>(x, w)", (4, 1, 3, 3)),
    "line": ("float[N,4,9] x", "Conv<pads=[1,1]>(x, w)", (3, 4, 3)),
    "product": ("float[N,6,8] x", "MatMul(x, w)", (8, 5)),
    "gemm": ("float[N,8] x", "Gemm(x, w)", (8, 5)),
    "turned": ("float[N,8] x", "Gemm<transB=1>(x, w)", (5, 8)),
}


def layer(kind: str, seed: int = 0, scale: float = 1.0) -> tuple[ir.Model, ir.Node, Array]:
    source, call, shape = LAYERS[kind]
    weight = draw(*shape, seed=seed, scale=scale)
    output = ",".join("NABC"[: source.count(",") + 1])
    model = read(f"({source}) => (float[{output}] y) {{ y = {call} }}", w=weight)
    return model, model.graph[0], weight


def inputs(kind: str, count: int = 12, seed: int = 9) -> Array:
    shape = [int(d) for d in LAYERS[kind][0].split("[")[1].split("]")[0].split(",")[1:]]
    mixing = draw(shape[-1], shape[-1], seed=seed + 1)
    return np.maximum(draw(count, *shape, seed=seed) @ mixing + 0.5, 0).astype(np.float32)  # neighbours alike, with a mean


@pytest.mark.parametrize("kind", LAYERS)
def test_moments_tell_the_energy_of_the_outputs(kind: str) -> None:
    model, node, weight = layer(kind)
    x = inputs(kind)
    moments = patch_moments(model, [node], watcher(x=x))["y"].second
    y = np.moveaxis(answers(model, {"x": x})["y"].astype(np.float64), 1 if node.op_type == "Conv" else -1, 0)
    energy = (y.reshape(len(y), -1) ** 2).mean(axis=1)
    np.testing.assert_allclose(row_errors(as_rows(node, weight).astype(float), moments), energy, rtol=1e-4)


@pytest.mark.parametrize("kind", LAYERS)
def test_rows_go_back(kind: str) -> None:
    _, node, weight = layer(kind)
    np.testing.assert_array_equal(from_rows(node, as_rows(node, weight), weight.shape), weight)


@pytest.mark.slow
@given(st.sampled_from(sorted(LAYERS)), st.integers(0, 99), st.booleans())
@settings(deadline=None, max_examples=40)
def test_never_worse_than_to_the_nearest_and_within_limits(kind: str, seed: int, portable: bool) -> None:
    model, node, weight = layer(kind, seed)
    data = watcher(x=inputs(kind, seed=seed))
    integers, scale, _ = round_weights(model, [node], data, {}, portable=portable)["y"]
    seen = patch_moments(model, [node], data)["y"]
    moments = energy(node, seen, seen.step())
    plain, plain_scale = quantize_weight(weight, channel_axis(node))
    if portable:
        plain, plain_scale = fit_pairs(node, weight, plain, plain_scale)
        high, low = worst_pair_sums(node, integers)
        assert high.max() <= 32767
        assert low.min() >= -32768
        np.testing.assert_array_equal(fit_pairs(node, weight, integers, scale)[0], integers)
    assert integers.dtype == np.int8
    assert np.abs(integers.astype(int)).max() <= 127
    learned = errors(node, weight, integers, scale, moments)
    nearest = errors(node, weight, plain, plain_scale, moments)
    assert (learned <= nearest * (1 + 1e-6) + 1e-12).all()


def test_gains_where_inputs_go_together() -> None:
    model, node, weight = layer("product", seed=3)
    x = (draw(40, 6, 2, seed=5) @ draw(2, 8, seed=6) + draw(40, 6, 8, seed=7, scale=0.05)).astype(np.float32)
    moments = patch_moments(model, [node], watcher(x=x))["y"].second
    integers, scale = learn_rounding(node, weight, moments)
    learned = errors(node, weight, integers, scale, moments).sum()
    nearest = errors(node, weight, round_weight(weight, scale, 1), scale, moments).sum()
    assert learned < nearest / 2


def test_inputs_that_are_always_zero_do_no_harm() -> None:
    _, node, weight = layer("turned")
    integers, scale = learn_rounding(node, weight, np.zeros((1, 8, 8), np.float32))
    np.testing.assert_array_equal(integers, fit_pairs(node, weight, *quantize_weight(weight, 0))[0])
    assert np.isfinite(scale).all()


def errors(node: ir.Node, weight: Array, integers: Array, scale: Array, moments: Array) -> Array:
    return row_errors(as_rows(node, weight).astype(float) - as_rows(node, integers) * scale.astype(float)[:, None], moments)


def test_learned_integers_are_those_in_the_file() -> None:
    model, node, _ = layer("product", seed=3)
    learned = Learned(rounded={"y": Rounded(np.full((8, 5), 3, np.int8), np.full(5, 0.5, np.float32))})
    made = build(model, Treatment("dynamic", {str(node.name): Way.DYNAMIC}), learned)
    held = [v.const_value.numpy() for v in made.graph.initializers.values() if v.const_value is not None and v.dtype == ir.DataType.INT8]
    assert any(np.array_equal(h, np.full((8, 5), 3)) for h in held)
