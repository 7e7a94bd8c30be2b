"""Convolutions that read channels of zeros give the same integers, and pairs of their weights fit 16 bits as before."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optkit.arrays import Array
from optkit.quantization.affine import quantize_weight
from optkit.quantization.graphs import constant_array
from optkit.quantization.integer_graph import insert_static as inserting
from optkit.quantization.integer_graph.fill_channels import fill_channels
from optkit.quantization.integer_graph.insert_static import insert_static
from optkit.quantization.integer_graph.saturation import fit_pairs, worst_pair_sums
from optkit.quantization.operators import empty_channels, weighted_nodes

from ..tiny import answers, draw, fused, grids_for, read, reference

IMAGE = {"x": draw(1, 3, 9, 9, seed=7)}
FITS = 2**15 - 1


def stem(outputs: int = 16, inputs: int = 3, kernel: int = 3, group: int = 1) -> ir.Model:
    return read(
        f"""(float[N,{inputs},9,9] x) => (float[N,{outputs},H,W] y) {{
            c = Conv<group={group}, pads=[1,1,1,1], strides=[2,2]>(x, w, b) y = Relu(c) }}""",
        w=draw(outputs, inputs // group, kernel, kernel),
        b=draw(outputs),
    )


def quantized(model: ir.Model) -> ir.Model:
    made = model.clone()
    weights = {}
    for node in weighted_nodes(made):
        held = constant_array(node.inputs[1])
        assert held is not None
        weights[str(node.name)] = fit_pairs(node, held, *quantize_weight(held, 0))
    names = [str(v.name) for v in (*model.graph.inputs, *(v for n in model.graph for v in n.outputs))]
    insert_static(made, list(weights), grids_for(model, names, IMAGE), weights=weights)
    return made


def convolutions(model: ir.Model) -> list[ir.Node]:
    return [n for n in model.graph if n.op_type == "Conv"]


def weight_behind(node: ir.Node) -> Array:
    dequantize = node.inputs[1].producer()  # type: ignore[union-attr]
    assert dequantize is not None
    held = constant_array(dequantize.inputs[0])
    assert held is not None
    return held


def test_the_answers_stay_the_same_to_the_last_bit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    filled = quantized(stem())
    monkeypatch.setattr(inserting, "fill_channels", lambda model: 0)
    plain = quantized(stem())
    assert [weight_behind(n).shape[1] for m in (plain, filled) for n in convolutions(m)] == [3, 4]
    assert np.array_equal(weight_behind(convolutions(filled)[0])[:, :3], weight_behind(convolutions(plain)[0]))
    first, second = answers(plain, IMAGE)["y"], answers(filled, IMAGE)["y"]
    assert first.std() > 0
    assert np.array_equal(first, second)
    assert np.array_equal(reference(filled, IMAGE)["y"], reference(plain, IMAGE)["y"])
    assert fused(filled, tmp_path)["QLinearConv"] == 1


def test_convolutions_of_one_input_share_what_they_read() -> None:
    model = read(
        """(float[N,3,9,9] x) => (float[N,16,7,7] y, float[N,32,7,7] z, float[N,8,7,7] u) {
            y = Conv(x, w) z = Conv(x, v) u = Conv(x, t) }""",
        w=draw(16, 3, 3, 3),
        v=draw(32, 3, 3, 3, seed=1),
        t=draw(8, 3, 3, 3, seed=2),
    )
    made = quantized(model)
    assert [n.op_type for n in made.graph].count("Pad") == 1
    assert [weight_behind(n).shape[1] for n in convolutions(made)] == [4, 4, 3]
    assert fill_channels(made) == 0


@pytest.mark.parametrize(
    ("outputs", "inputs", "kernel", "group", "wanted"),
    [
        *[(16, 3, 3, 1, 1), (24, 1, 3, 1, 3), (64, 3, 7, 1, 1), (32, 30, 1, 1, 2)],
        *[(16, 4, 3, 1, 0), (8, 3, 3, 1, 0), (20, 3, 3, 1, 0), (16, 1, 7, 1, 0), (18, 6, 3, 2, 0), (64, 3, 16, 1, 0)],
    ],
)
def test_only_what_gains_is_filled(outputs: int, inputs: int, kernel: int, group: int, wanted: int) -> None:
    node = convolutions(stem(outputs, inputs, kernel, group))[0]
    assert empty_channels(node, (outputs, inputs // group, kernel, kernel)) == wanted


@settings(max_examples=60, deadline=None)
@given(inputs=st.sampled_from([1, 2, 3, 5, 6, 7]), seed=st.integers(0, 2**20), heavy=st.floats(0, 2))
def test_weights_that_fit_in_pairs_fit_among_zeros(inputs: int, seed: int, heavy: float) -> None:
    node = convolutions(stem(16, inputs))[0]
    weight = np.abs(draw(16, inputs, 3, 3, seed=seed)) ** (1 / (1 + heavy))
    integers, _ = fit_pairs(node, weight, *quantize_weight(weight, 0))
    filled = np.pad(integers, [(0, 0), (0, -inputs % 4), (0, 0), (0, 0)])
    high, low = worst_pair_sums(node, filled)
    assert integers.shape == weight.shape
    assert high.max() <= FITS
    assert low.min() >= -FITS - 1


def test_pairs_that_meet_only_among_zeros_are_pulled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights made for another order: red and green of the second position are no pair where a position has three numbers."""
    monkeypatch.setattr(inserting, "fill_channels", lambda model: 0)
    made = quantized(stem())
    node = convolutions(made)[0]
    weight = np.zeros((16, 3, 3, 3), np.int8)
    weight[:, 0, 0, 1], weight[:, 1, 0, 1] = 100, 90
    node.inputs[1].producer().inputs[0].const_value = ir.tensor(weight)  # type: ignore[union-attr]
    assert worst_pair_sums(node, weight)[0].max() <= FITS
    assert fill_channels(made) == 1
    after = weight_behind(node)
    assert worst_pair_sums(node, after)[0].max() <= FITS
    assert (after[:, :2, 0, 1].sum(axis=1) == 128).all()
    assert not after[:, 3].any()
