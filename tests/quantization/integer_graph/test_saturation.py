"""Every bound is recomputed here weight by weight, in the order in which ONNX Runtime's kernels sum; tests/real proves that order."""

from itertools import product
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optkit.arrays import Array
from optkit.quantization.affine import quantize_weight
from optkit.quantization.integer_graph import saturation
from optkit.quantization.integer_graph.saturation import fit_pairs, worst_pair_sums
from optkit.quantization.operators import channel_axis

SIXTEEN_BITS = np.iinfo(np.int16)


def node(operator: str, **attributes: Any) -> ir.Node:
    return ir.node(operator, [None, None], attributes or None)


def summed(layer: ir.Node, weight: Array) -> list[list[float]]:
    """For every output channel its weights in the order of summation, by index arithmetic."""
    if layer.op_type == "Conv":
        outputs, inputs, *kernel = weight.shape
        places = list(product(*map(range, kernel)))
        return [[weight[(o, i, *place)] for place in places for i in range(inputs)] for o in range(outputs)]
    transposed = layer.op_type == "Gemm" and "transB" in layer.attributes
    columns = weight if transposed else weight.T
    return [list(column) for column in columns]


def extremes(weights: list[float]) -> tuple[int, int]:
    """Largest and smallest sum of two neighbouring products; it is linear, so activations of 0 and 255 are all that counts."""
    sums = [
        a * int(first) + b * int(second)
        for first, second in zip(weights[0::2], [*weights[1::2], 0], strict=False)
        for a in (0, 255)
        for b in (0, 255)
    ]
    return max(sums), min(sums)


def stands_for(layer: ir.Node, integers: Array, scale: Array) -> Array:
    spread = [-1 if axis == channel_axis(layer) and scale.size > 1 else 1 for axis in range(integers.ndim)]
    return np.asarray(integers.astype(np.float64) * scale.astype(np.float64).reshape(spread))


def by_channel(layer: ir.Node, error: Array) -> Array:
    return np.asarray((np.moveaxis(error, channel_axis(layer), 0).reshape(error.shape[channel_axis(layer)], -1) ** 2).sum(axis=1))


LAYERS = [
    (node("MatMul"), lambda n, k: (k, n)),
    (node("Gemm"), lambda n, k: (k, n)),
    (node("Gemm", transB=1), lambda n, k: (n, k)),
    (node("Conv"), lambda n, k: (n, k)),
    (node("Conv"), lambda n, k: (n, k, 3)),
    (node("Conv"), lambda n, k: (n, k, 2, 3)),
    (node("Conv", group=2), lambda n, k: (2 * n, k, 3, 1)),
]


@st.composite
def rounded_layers(draw: st.DrawFn) -> tuple[ir.Node, Array, Array, Array]:
    """A layer, its float weight, and integers with scales: nearest ones, or others."""
    layer, shape = draw(st.sampled_from(LAYERS))
    size = shape(draw(st.integers(2, 5)), draw(st.integers(1, 9)))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    kinds = {
        "even": lambda: random.uniform(-1, 1, size),
        "extremes": lambda: random.choice([-1.0, -0.99, -0.5, 0.0, 0.01, 0.52, 0.98, 1.0], size),
        "outliers": lambda: random.standard_t(2, size),
        "one sign": lambda: random.uniform(0.2, 1, size),
    }
    weight = kinds[draw(st.sampled_from(sorted(kinds)))]().astype(np.float32) * np.float32(draw(st.sampled_from([1.0, 3e-5, 4e4])))
    axis = channel_axis(layer) if draw(st.booleans()) else None
    integers, scale = quantize_weight(weight, axis)
    if draw(st.booleans()):
        integers = np.clip(integers + random.integers(-1, 2, size), -127, 127).astype(np.int8)
    return layer, weight, integers, scale


@given(rounded_layers())
def test_the_worst_sums_are_those_of_every_pair_tried_out(case: tuple[ir.Node, Array, Array, Array]) -> None:
    layer, _, integers, _ = case
    high, low = worst_pair_sums(layer, integers)
    assert list(zip(high, low, strict=True)) == [extremes(channel) for channel in summed(layer, integers)]


@pytest.mark.slow
@settings(max_examples=200)
@given(rounded_layers())
def test_after_the_cure_nothing_saturates_and_what_was_safe_is_as_it_was(case: tuple[ir.Node, Array, Array, Array]) -> None:
    layer, weight, integers, scale = case
    before = integers.copy(), scale.copy()
    fitted, scales = fit_pairs(layer, weight, integers, scale)
    assert fitted.dtype == np.int8
    assert scales.dtype == np.float32
    assert (fitted.shape, scales.shape) == (integers.shape, scale.shape)
    assert np.array_equal(integers, before[0])
    assert np.array_equal(scale, before[1])
    for channel, (first, second) in enumerate(zip(summed(layer, integers), summed(layer, fitted), strict=True)):
        high, low = extremes(second)
        assert high <= SIXTEEN_BITS.max
        assert low >= SIXTEEN_BITS.min
        was_high, was_low = extremes(first)
        if was_high <= SIXTEEN_BITS.max and was_low >= SIXTEEN_BITS.min:
            assert first == second
            assert scale.size == 1 or scales[channel] == scale[channel]


@pytest.mark.slow
@settings(max_examples=200)
@given(rounded_layers())
def test_the_cure_costs_no_more_than_moving_each_pair_to_the_nearest_safe_place(case: tuple[ir.Node, Array, Array, Array]) -> None:
    layer, weight, integers, scale = case
    fitted, scales = fit_pairs(layer, weight, integers, scale)
    found = by_channel(layer, stands_for(layer, fitted, scales) - weight)
    steps = np.broadcast_to(scale.reshape(-1), found.shape).astype(np.float64)
    for channel, (real, whole) in enumerate(zip(summed(layer, weight), summed(layer, integers), strict=True)):
        wanted = [float(v) / steps[channel] for v in real]
        error = sum(cheapest_pair(wanted[i : i + 2], whole[i : i + 2]) for i in range(0, len(wanted), 2))
        assert found[channel] <= error * steps[channel] ** 2 * (1 + 1e-4) + 1e-12 * steps[channel] ** 2


def cheapest_pair(wanted: list[float], whole: list[float]) -> float:
    """Squared error of a pair: as it is if it fits, else of the nearest one that fits with both members no larger than they were."""
    first, second = int(whole[0]), int(whole[1]) if len(whole) > 1 else 0
    far = wanted[1] if len(wanted) > 1 else 0.0
    if abs(first + second) <= 128:
        return (first - wanted[0]) ** 2 + (second - far) ** 2
    sign = 1 if first > 0 else -1
    choices = [(a, 128 - a) for a in range(129) if a <= abs(first) and 128 - a <= abs(second)]
    return min((sign * a - wanted[0]) ** 2 + (sign * b - far) ** 2 for a, b in choices)


@pytest.mark.parametrize("distribution", ["normal", "laplace"])
def test_it_costs_far_less_than_seven_bits_everywhere(distribution: str) -> None:
    weight = getattr(np.random.default_rng(3), distribution)(0, 1, (768, 96)).astype(np.float32)
    layer = node("MatMul")
    integers, scale = quantize_weight(weight, 1)
    plain = by_channel(layer, stands_for(layer, integers, scale) - weight).sum()
    seven = by_channel(layer, stands_for(layer, *quantize_weight(weight, 1, 63)) - weight).sum()
    cured = by_channel(layer, stands_for(layer, *fit_pairs(layer, weight, integers, scale)) - weight).sum()
    assert seven > 3.5 * plain
    assert cured < 2 * plain


def test_one_pair_too_large_among_many_small_ones_is_pulled_in_and_one_of_two_is_given_a_wider_scale() -> None:
    small = np.random.default_rng(1).uniform(-0.3, 0.3, (4000, 1)).astype(np.float32)
    small[:2, 0] = 1.0, 0.012
    scale = np.array([1 / 127], np.float32)
    integers = np.rint(small / scale).astype(np.int8)
    fitted, scales = fit_pairs(node("MatMul"), small, integers, scale)
    assert scales[0] == scale[0]
    assert np.flatnonzero(fitted != integers).tolist() == [1]
    large = np.array([[1.0], [0.9]], np.float32)
    fitted, scales = fit_pairs(node("MatMul"), large, np.rint(large / scale).astype(np.int8), scale)
    assert scales[0] > 1.4 * scale[0]
    np.testing.assert_allclose(stands_for(node("MatMul"), fitted, scales), large, atol=0.02)


def test_integers_that_were_chosen_with_care_keep_their_scale_and_all_but_the_pairs_that_saturate() -> None:
    random = np.random.default_rng(5)
    weight = random.normal(0, 1, (64, 32)).astype(np.float32)
    integers, scale = quantize_weight(weight, 1)
    chosen = np.clip(integers + random.choice([-1, 1], integers.shape), -127, 127).astype(np.int8)
    fitted, scales = fit_pairs(node("MatMul"), weight, chosen, scale)
    assert np.array_equal(scales, scale)
    crowded = np.repeat(np.abs(chosen[0::2].astype(int) + chosen[1::2]) > 128, 2, axis=0)
    assert crowded.any()
    assert np.array_equal(fitted[~crowded], chosen[~crowded])


def test_depthwise_kernels_add_no_pairs_but_others_of_one_input_channel_do() -> None:
    integers = np.full((8, 1, 3, 3), 127, np.int8)
    weight, scale = integers.astype(np.float32), np.ones(8, np.float32)
    depthwise, multiplied = node("Conv", group=8), node("Conv", group=4)
    assert fit_pairs(depthwise, weight, integers, scale)[0] is integers
    assert worst_pair_sums(depthwise, integers)[0].max() == 0
    assert fit_pairs(multiplied, weight, integers, scale)[0].max() < 127
    assert worst_pair_sums(multiplied, integers)[0].max() == 255 * 254


def test_the_result_does_not_depend_on_how_many_weights_are_treated_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = np.random.default_rng(9).normal(0, 1, (40, 7, 3, 3)).astype(np.float32)
    integers, scale = quantize_weight(weight, 0)
    at_once = fit_pairs(node("Conv"), weight, integers, scale)
    monkeypatch.setattr(saturation, "ELEMENTS_AT_ONCE", 100)
    in_parts = fit_pairs(node("Conv"), weight, integers, scale)
    assert np.array_equal(at_once[0], in_parts[0])
    assert np.array_equal(at_once[1], in_parts[1])
    assert not np.array_equal(at_once[0], integers)
