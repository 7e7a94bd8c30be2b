"""Integers and scales against ONNX's reference evaluator."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from optkit.arrays import Array
from optkit.quantization.affine import SMALLEST_SCALE, Grid, grid_for, quantize_bias, quantize_weight

FEW = settings(max_examples=30, deadline=None)
FLOATS = st.floats(-(2.0**20), 2.0**20, width=32, allow_subnormal=False)
VALUES = arrays(np.float32, array_shapes(max_dims=1, max_side=40), elements=FLOATS)
WEIGHTS = arrays(np.float32, array_shapes(min_dims=2, max_dims=3, max_side=6), elements=st.floats(-1e6, 1e6, width=32))


def onnx_says(op_type: str, values: Array, scale: Any, zero_point: Array, axis: int | None = None) -> Array:
    feed = {"x": values, "scale": np.asarray(scale, np.float32), "zero": zero_point}
    found: Array = evaluator(op_type, axis).run(None, feed)[0]  # type: ignore[index]
    return found


@cache
def evaluator(op_type: str, axis: int | None) -> ReferenceEvaluator:
    node = helper.make_node(op_type, ["x", "scale", "zero"], ["y"], axis=axis)
    ports = [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in ("x", "scale", "zero")]
    graph = helper.make_graph([node], "g", ports, [helper.make_tensor_value_info("y", TensorProto.UNDEFINED, None)])
    return ReferenceEvaluator(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]))


@FEW
@given(VALUES, VALUES)
def test_a_round_trip_is_quantize_linear_and_back(seen: Array, values: Array) -> None:
    grid = grid_for(float(seen.min()), float(seen.max()))
    zero = np.array(grid.zero_point, np.uint8)
    values = np.clip(values, np.float32(-1e9 * grid.scale), np.float32(1e9 * grid.scale))  # the evaluator counts in int32
    integers = onnx_says("QuantizeLinear", values, grid.scale, zero)
    assert integers.dtype == np.uint8
    np.testing.assert_array_equal(grid.round_trip(values), onnx_says("DequantizeLinear", integers, grid.scale, zero))


@FEW
@given(FLOATS, FLOATS)
def test_a_grid_holds_zero_and_covers_its_range(one: float, other: float) -> None:
    low, high = sorted((one, other))
    grid = grid_for(low, high)
    assert 0 <= grid.zero_point <= 255
    assert grid.scale == np.float32(grid.scale) >= np.float32(SMALLEST_SCALE)
    assert grid.round_trip(np.zeros(1, np.float32))[0] == 0
    half = grid.scale / 2 * (1 + 1e-4)
    assert grid.low <= low + half
    assert grid.high >= high - half
    assert grid.high - grid.low <= max(high, 0) - min(low, 0) + 256 * max(grid.scale * 1e-6, SMALLEST_SCALE)


@FEW
@given(VALUES, VALUES)
def test_errors_are_half_a_step_inside_and_what_is_cut_off_outside(seen: Array, values: Array) -> None:
    grid = grid_for(float(seen.min()), float(seen.max()))
    nearest = np.clip(values.astype(np.float64), grid.low, grid.high)
    back = grid.round_trip(values)
    assert np.abs(back - nearest).max() <= grid.scale * (0.5 + 1e-4)
    assert (back >= np.float32(grid.low)).all()
    assert (back <= np.float32(grid.high)).all()


@pytest.mark.parametrize(
    ("low", "high", "zero_point"), [(0.0, 5.0, 0), (2.0, 5.0, 0), (-5.0, 0.0, 255), (-5.0, -2.0, 255), (-1.0, 3.0, 64), (0.0, 0.0, 0)]
)
def test_where_zero_lies(low: float, high: float, zero_point: int) -> None:
    assert grid_for(low, high).zero_point == zero_point


def test_halves_go_to_the_even_integer() -> None:
    values = np.array([0.5, 1.5, 2.5, -0.5, -1.5, -2.5], np.float32)
    np.testing.assert_array_equal(Grid(1.0, 128).round_trip(values), [0, 2, 2, 0, -2, -2])


@FEW
@given(WEIGHTS, st.data())
def test_weights_have_a_scale_for_each_slice_along_their_axis(weight: Array, data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, weight.ndim - 1))
    integers, scale = quantize_weight(weight, axis)
    assert integers.dtype == np.int8
    assert scale.dtype == np.float32
    assert scale.shape == (weight.shape[axis],)
    for i in range(weight.shape[axis]):
        alone, own = quantize_weight(np.take(weight, i, axis), None)
        np.testing.assert_array_equal(np.take(integers, i, axis), alone)
        assert scale[i] == own


@FEW
@given(WEIGHTS, st.data())
def test_weights_come_back_as_dequantize_linear_says_within_half_a_step(weight: Array, data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, weight.ndim - 1))
    integers, scale = quantize_weight(weight, axis)
    back = onnx_says("DequantizeLinear", integers, scale, np.zeros(scale.shape, np.int8), axis=axis)
    steps = np.moveaxis(np.broadcast_to(scale, [*np.delete(weight.shape, axis), len(scale)]), -1, axis)
    assert (np.abs(back.astype(np.float64) - weight) <= steps * (0.5 + 1e-5)).all()
    assert np.abs(integers).max(initial=0) <= 127
    peaks = np.abs(weight).max(axis=tuple(a for a in range(weight.ndim) if a != axis))
    reached = np.abs(integers.astype(int)).max(axis=tuple(a for a in range(weight.ndim) if a != axis))
    np.testing.assert_array_equal(reached[peaks > 1e-25], 127)
    np.testing.assert_array_equal(reached[peaks == 0], 0)


def test_a_smaller_range_of_integers_can_be_asked_for() -> None:
    integers, scale = quantize_weight(np.array([[-4.0, 1.0, 4.0]], np.float32), 0, largest=64)
    np.testing.assert_array_equal(integers, [[-64, 16, 64]])
    np.testing.assert_array_equal(scale, [4 / 64])


@FEW
@given(arrays(np.float32, 5, elements=st.floats(-1e4, 1e4, width=32)), st.floats(1e-4, 1e2), st.booleans())
def test_a_bias_is_int32_in_the_accumulators_scale(bias: Array, input_scale: float, per_channel: bool) -> None:
    weight_scale = np.array([0.01, 0.5, 1e-3, 2.0, 0.1], np.float32) if per_channel else np.array(0.01, np.float32)
    integers, scale = quantize_bias(bias, input_scale, weight_scale)
    assert integers.dtype == np.int32
    assert scale.dtype == np.float32
    assert scale.shape == weight_scale.shape
    np.testing.assert_array_equal(scale, np.float32(input_scale) * weight_scale)
    back = integers.astype(np.float64) * scale
    fits = np.abs(bias) < 2.0**30 * scale
    assert (np.abs(back - bias)[fits] <= np.broadcast_to(scale, bias.shape)[fits] * (0.5 + 1e-6)).all()


def test_a_bias_too_large_for_int32_saturates() -> None:
    integers, _ = quantize_bias(np.array([1e9, -1e9], np.float32), 1e-4, np.array([1e-4, 1e-4], np.float32))
    np.testing.assert_array_equal(integers, [2**31 - 1, -(2**31) + 1])
