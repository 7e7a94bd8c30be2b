"""Weights in groups: what the integers stand for, by ONNX Runtime's own dequantization and its own quantizer."""

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from onnxruntime.capi import _pybind_state as runtime

from optkit.arrays import Array
from optkit.quantization.blocks.blocked import SIZES, Blocked, Scheme, grouped, spread
from optkit.quantization.blocks.hqq import POWER, half_quadratic
from optkit.quantization.blocks.pack import halves, packed_integers, packed_zeros
from optkit.quantization.blocks.round_to_nearest import round_to_nearest
from optkit.runtimes.onnxruntime import open_onnx

from .small import draw

schemes = st.builds(Scheme, st.sampled_from([4, 8]), st.sampled_from(SIZES), st.booleans(), st.booleans())


def dequantized(held: Blocked) -> Array:
    """By DequantizeLinear in blocks of a row, from the packed integers of ONNX's own type."""
    kind = ml_dtypes.uint4 if held.scheme.bits == 4 else np.uint8
    rows, inputs = held.integers.shape
    whole = held.scales.shape[1] * held.scheme.size
    integers = grouped(held.integers, held.scheme.size).reshape(rows, whole)
    arrays = {"q": integers.astype(kind), "s": held.scales, "z": held.zeros.astype(kind)}
    node = helper.make_node("DequantizeLinear", list(arrays), ["y"], axis=1, block_size=held.scheme.size)
    output = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [rows, whole])
    graph = helper.make_graph([node], "g", [], [output], [numpy_helper.from_array(a, n) for n, a in arrays.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return np.asarray(open_onnx(model.SerializeToString(), optimize=False).run({})["y"])[:, :inputs]


@pytest.mark.parametrize("algorithm", [round_to_nearest, half_quadratic])
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("inputs", [96, 100])
def test_the_integers_stand_for_what_the_runtime_reads(algorithm, symmetric: bool, bits: int, inputs: int) -> None:  # type: ignore[no-untyped-def]
    held = algorithm(draw(7, inputs), Scheme(bits, 32, symmetric))
    np.testing.assert_array_equal(dequantized(held), held.real())


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("size", SIZES)
def test_to_the_nearest_as_the_runtimes_own_quantizer(bits: int, size: int, symmetric: bool) -> None:
    rows = draw(24, 512, seed=size)
    held = round_to_nearest(rows, Scheme(bits, size, symmetric))
    groups = 512 // size
    integers, scales = np.zeros((24, groups, size * bits // 8), np.uint8), np.zeros(24 * groups, np.float32)
    zeros = np.zeros(24 * (groups * bits // 8 or 1), np.uint8)
    quantize = runtime.quantize_matmul_4bits if bits == 4 else runtime.quantize_matmul_8bits
    quantize(integers, np.ascontiguousarray(rows.T), scales, zeros, size, 24, 512, symmetric)
    np.testing.assert_allclose(scales.reshape(24, groups), held.scales, rtol=1e-6)
    ours = packed_zeros(held)
    if ours is not None and groups > 1:
        np.testing.assert_array_equal(zeros.reshape(24, -1), ours)
    theirs, mine = (unpacked(a, bits).reshape(24, -1).astype(int) for a in (integers, packed_integers(held)))
    assert np.abs(theirs - mine).max() <= 1  # what lies half-way between two integers goes either way
    assert np.mean(theirs != mine) < 0.01


@given(schemes, st.integers(1, 5), st.integers(16, 300), st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_no_weight_is_further_off_than_half_a_step_and_zero_is_exact(scheme: Scheme, rows: int, inputs: int, seed: int) -> None:
    weights = draw(rows, inputs, seed=seed)
    weights[:, ::7] = 0
    held = round_to_nearest(weights, scheme)
    steps = np.abs(spread(held.scales, scheme.size, inputs))
    clipped = 1.0 if scheme.symmetric else 0.5  # the end opposite to the furthest weight has one integer less
    slack = 0.002 * scheme.top if scheme.half else 1e-4 * scheme.top  # scales in float16 end a little short of the range
    assert (np.abs(held.real() - weights) <= (clipped + slack) * steps).all()
    assert (held.real()[:, ::7] == 0).all()
    assert held.integers.max() <= scheme.top


@given(schemes, st.integers(1, 5), st.integers(16, 300), st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_bytes_hold_exactly_the_integers(scheme: Scheme, rows: int, inputs: int, seed: int) -> None:
    held = round_to_nearest(draw(rows, inputs, seed=seed), scheme)
    groups = scheme.groups(inputs)
    packed = packed_integers(held)
    assert packed.shape == (rows, groups, scheme.size * scheme.bits // 8)
    whole = unpacked(packed, scheme.bits).reshape(rows, -1)
    np.testing.assert_array_equal(whole[:, :inputs], held.integers)
    assert (whole[:, inputs:] == held.zeros[:, -1:]).all()  # what fills up stands for zero
    zeros = packed_zeros(held)
    assert (zeros is None) == scheme.symmetric
    if zeros is not None:
        np.testing.assert_array_equal(unpacked(zeros, scheme.bits)[:, :groups], held.zeros)
    if scheme.bits == 4:
        low, high = halves(held) % 16, halves(held) // 16
        np.testing.assert_array_equal(np.concatenate([low, high], axis=2).reshape(rows, -1)[:, :inputs], held.integers)


def unpacked(array: Array, bits: int) -> Array:
    if bits == 8:
        return array
    return np.stack([array & 15, array >> 4], axis=-1).reshape(*array.shape[:-1], -1)


@given(schemes, st.integers(0, 99), st.sampled_from([1.0, 3.0]))
@settings(deadline=None, max_examples=40)
def test_hqq_never_costs_more_than_nearest_in_its_own_measure(scheme: Scheme, seed: int, tail: float) -> None:
    weights = np.sign(draw(6, 96, seed=seed)) * np.abs(draw(6, 96, seed=seed)) ** tail
    costs = [
        (np.abs(grouped(weights - each.real(), scheme.size)) ** POWER).sum(axis=-1)
        for each in (round_to_nearest(weights, scheme), half_quadratic(weights, scheme))
    ]
    assert (costs[1] <= costs[0] * (1 + 1e-5)).all()


def test_hqq_gains_on_ordinary_weights() -> None:
    weights = draw(64, 128)
    errors = [((weights - each.real()) ** 2).sum() for each in (round_to_nearest(weights, Scheme()), half_quadratic(weights, Scheme()))]
    assert errors[1] < 0.99 * errors[0]


def test_hqq_works_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = draw(50, 96)
    whole = half_quadratic(weights, Scheme())
    monkeypatch.setattr("optkit.quantization.blocks.hqq.ROWS_AT_ONCE", 96 * 7)
    np.testing.assert_array_equal(half_quadratic(weights, Scheme()).real(), whole.real())


def test_groups_of_zeros_stay_zero() -> None:
    weights = draw(4, 96)
    weights[:2] = 0
    for symmetric in (False, True):
        for algorithm in (round_to_nearest, half_quadratic):
            held = algorithm(weights, Scheme(4, 32, symmetric))
            assert (held.real()[:2] == 0).all()
            assert np.isfinite(held.scales).all()


@pytest.mark.parametrize(
    ("inputs", "asked", "fitting"), [(384, 128, 128), (192, 128, 64), (64, 256, 64), (100, 128, 128), (16, 32, 16), (96, 32, 32)]
)
def test_groups_fit_the_rows(inputs: int, asked: int, fitting: int) -> None:
    assert Scheme(4, asked).fitted(inputs).size == fitting


def test_the_size_of_a_weight_is_that_of_its_bytes() -> None:
    for scheme in (Scheme(4, 32), Scheme(8, 64, True), Scheme(4, 128, half=True)):
        held = round_to_nearest(draw(5, 200), scheme)
        zeros = packed_zeros(held)
        width = 2 if scheme.half else 4
        assert held.nbytes == packed_integers(held).nbytes + held.scales.size * width + (0 if zeros is None else zeros.nbytes)
