"""Convolutions that hand on channels of zeros give the same integers; what others count on is not widened."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from optkit.quantization.affine import quantize_weight
from optkit.quantization.graphs import constant_array
from optkit.quantization.integer_graph import insert_static as inserting
from optkit.quantization.integer_graph.channel_runs import outputs_to_be
from optkit.quantization.integer_graph.insert_static import insert_static
from optkit.quantization.integer_graph.saturation import fit_pairs, worst_pair_sums
from optkit.quantization.operators import weighted_nodes

from ..tiny import answers, draw, fused, grids_for, read, reference

IMAGE = {"x": draw(1, 3, 40, 40, seed=7)}
FITS = 2**15 - 1
STEM = "a = Conv<pads=[1,1,1,1], strides=[2,2]>(x, stem, bs) r = Relu(a)"
GATE = "g = GlobalAveragePool(e) h = Conv(g, squeeze) i = Relu(h) j = Conv(i, excite, bd) k = Sigmoid(j) m = Mul(e, k) y = Conv(m, out) "


def graph(body: str, channels: int) -> ir.Model:
    weights = {
        "stem": draw(channels, 3, 3, 3),
        "bs": draw(channels, seed=1),
        "deep": draw(channels, 1, 3, 3, seed=2),
        "bd": draw(channels, seed=3),
        "squeeze": draw(6, channels, 1, 1, seed=4) * np.float32(0.01),
        "excite": draw(channels, 6, 1, 1, seed=5),
        "out": draw(20, channels, 1, 1, seed=6),
    }
    return read(f"(float[N,3,40,40] x) => (float[N,M,H,W] y) {{ {body} }}", **{n: a for n, a in weights.items() if n in body})


def quantized(model: ir.Model) -> ir.Model:
    made, weights = model.clone(), {}
    for node in weighted_nodes(made):
        held = constant_array(node.inputs[1])
        assert held is not None
        weights[str(node.name)] = fit_pairs(node, held, *quantize_weight(held, 0))
    names = [str(v.name) for v in (*model.graph.inputs, *(v for n in model.graph for v in n.outputs))]
    chosen = [str(n.name) for n in made.graph if n.op_type in ("Conv", "GlobalAveragePool", "Sigmoid", "Mul")]
    insert_static(made, chosen, grids_for(model, names, IMAGE), weights=weights)
    return made


def widths(model: ir.Model) -> list[int]:
    weights = [constant_array(n.inputs[1].producer().inputs[0]) for n in model.graph if n.op_type == "Conv"]  # type: ignore[union-attr]
    return [len(each) for each in weights if each is not None]


def test_the_answers_stay_the_same_to_the_last_bit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for channels in (8, 24):
        model = graph(f"{STEM} d = Conv<group={channels}, pads=[1,1,1,1]>(r, deep, bd) e = Relu(d) {GATE}", channels)
        filled = quantized(model)
        with monkeypatch.context() as patch:
            patch.setattr(inserting, "fill_outputs", lambda model: 0)
            plain = quantized(model)
        wide = -(-channels // 16) * 16
        assert widths(plain) == [channels, channels, 6, channels, 20]
        assert widths(filled) == [wide, wide, 6, wide, 20]
        first, second = answers(plain, IMAGE)["y"], answers(filled, IMAGE)["y"]
        assert first.std() > 0
        assert np.array_equal(first, second)
        assert np.array_equal(reference(filled, IMAGE)["y"], reference(plain, IMAGE)["y"])
        assert fused(filled, tmp_path)["QLinearConv"] == 5


@pytest.mark.parametrize(
    ("body", "channels"),
    [
        (f"{STEM} y = Conv(r, out)", 24),  # kernels of this kind take eight outputs at a time
        (f"{STEM} d = Conv<group=16>(r, deep, bd) y = Conv(d, out)", 16),
        (f"{STEM} y = Conv(r, out)", 4),  # four times as many would be more to do
        (f"{STEM} d = Conv<group=24, pads=[1,1,1,1]>(r, deep, bd) e = Concat<axis=1>(d, r) y = Relu(e)", 24),
        (f"{STEM} d = Conv<group=24, pads=[1,1,1,1]>(r, deep, bd) y = Relu(d)", 24),
    ],
)
def test_what_gains_nothing_or_is_counted_stays(body: str, channels: int) -> None:
    made = quantized(graph(body, channels))
    assert widths(made) == [len(constant_array(n.inputs[1])) for n in weighted_nodes(graph(body, channels))]  # type: ignore[arg-type]


def test_weights_fit_in_pairs_whichever_way_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    model = graph(f"{STEM} y = Conv(r, out)", 8)
    stem = weighted_nodes(model)[0]
    assert outputs_to_be(stem, (8, 3, 3, 3)) == 16
    for fills in (True, False):
        if not fills:
            monkeypatch.setattr(inserting, "fill_outputs", lambda model: 0)
        for node in (n for n in quantized(model).graph if n.op_type == "Conv"):
            held = constant_array(node.inputs[1].producer().inputs[0])  # type: ignore[union-attr]
            assert held is not None
            high, low = worst_pair_sums(node, held)
            assert high.max() <= FITS
            assert low.min() >= -FITS - 1
