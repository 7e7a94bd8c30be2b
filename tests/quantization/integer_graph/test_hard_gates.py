"""HardSigmoid and HardSwish without leaving integers."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from optkit.arrays import Array
from optkit.quantization.affine import Grid, grid_for
from optkit.quantization.float_graph.hard_sigmoids import name_hard_sigmoids
from optkit.quantization.graphs import prune_unused
from optkit.quantization.integer_graph.hard_gates import behind, suited
from optkit.quantization.integer_graph.insert_static import insert_static, tensors_to_observe
from optkit.quantization.integer_graph.regions import region_nodes
from optkit.quantization.operators import weighted_nodes
from optkit.quantization.variants.build import shared_grids

from ..tiny import Feed, answers, draw, fused, grids_for, operators, read, reference

SIZES = "(float[N,8,6,6] x) => (float[N,8,6,6] y)"
WEIGHTS = {"w": draw(8, 8, 1, 1), "u": draw(8, 8, 1, 1, seed=1)}
FEED = {"x": draw(3, 8, 6, 6, seed=2, scale=2)}


@given(st.floats(-40, 0), st.floats(0, 40), st.sampled_from([(1 / 6, 0.5), (0.2, 0.5), (0.25, 0.25), (1.0, 0.5)]), st.booleans())
@example(0.0, 0.0, (1 / 6, 0.5), True)
@example(-40.0, 0.0, (0.25, 0.25), False)
def test_the_same_integers_are_the_gate_on_another_grid(low: float, high: float, form: tuple[float, float], alone: bool) -> None:
    slope, offset = form
    seen = grid_for(low, high)
    grid = suited(seen, slope, offset, alone=alone)
    its = behind(grid, slope, offset)
    assert 0 <= its.zero_point <= grid.zero_point <= 255
    integers = np.arange(256)
    x, y = (g.scale * (integers - g.zero_point) for g in (grid, its))
    np.testing.assert_allclose(y, slope * x + offset, atol=1e-5)
    assert grid.low <= -offset / slope + 1e-5, "the gate has its zero"
    assert alone or grid.low <= seen.low + grid.scale / 2 + 1e-6
    assert grid.high >= min(seen.high, 255 * offset / slope - 40) - grid.scale / 2 - 1e-6


def quantized(steps: str, feed: Feed = FEED, *, elsewhere: bool = False, **weights: Array) -> tuple[ir.Model, ir.Model, dict[str, Grid]]:
    """The float model, the same in integers where it can be, and its grids."""
    model = read(f"{SIZES} {{ {steps} }}", **(WEIGHTS | weights))
    name_hard_sigmoids(model)
    seeds = weighted_nodes(model)
    nodes = [*seeds, *region_nodes(model, seeds)]
    names = [str(n.name) for n in nodes]
    grids = shared_grids(model, names, grids_for(model, tensors_to_observe(nodes), feed))
    made = model.clone()
    insert_static(made, names, grids)
    prune_unused(made)
    return model, made, grids


@pytest.mark.parametrize(
    "steps",
    [
        "c = Conv(x, w) h = HardSwish(c) y = Conv(h, u)",
        "c = Conv(x, w) g = HardSigmoid<alpha = 0.1666667, beta = 0.5>(c) h = Mul(g, c) y = Conv(h, u)",
        "c = Conv(x, w) g = HardSigmoid(c) y = Conv(g, u)",
        "c = Conv(x, w) h = HardSwish(c) s = Add(h, c) y = Conv(s, u)",  # below -3 too
        "c = Conv(x, w) p = GlobalAveragePool(c) q = Conv(p, u) g = HardSigmoid<alpha = 0.25, beta = 0.25>(q) h = Mul(c, g) y = Conv(h, u)",
    ],
)
def test_no_floats_in_between(steps: str, tmp_path: Path) -> None:
    model, made, _ = quantized(steps)
    found = fused(made, tmp_path)
    assert not set(found) & {"HardSigmoid", "Mul", "HardSwish"}, found
    assert (found["QuantizeLinear"], found["DequantizeLinear"]) == (1, 1)
    exact, here = answers(model, FEED)["y"], answers(made, FEED)["y"]
    assert np.abs(here - exact).max() < 0.04 * np.abs(exact).max()
    np.testing.assert_allclose(reference(made, FEED)["y"], here, atol=0.02 * np.abs(exact).max())


def test_a_gate_alone_loses_nothing_to_what_it_cuts_off() -> None:
    _, made, grids = quantized("c = Conv(x, w) h = HardSwish(c) y = Conv(h, u)")
    assert grids["c"].low == pytest.approx(-3)
    assert [n.op_type for n in made.graph].count("Clip") == 1
    inside = next(n for n in made.graph if n.op_type == "Clip")
    assert inside.inputs[1] is None, "uint8 ends at zero by itself"


@pytest.mark.parametrize(
    "steps",
    [
        "c = Conv(x, w) r = Relu(c) h = HardSwish(r) y = Conv(h, u)",  # the Relu wants its zero at 0
        "c = Conv(x, w) a = HardSigmoid(c) b = HardSigmoid<alpha = 0.5>(c) m = Mul(a, b) y = Conv(m, u)",  # no grid suits both
        "c = Conv(x, w) a = HardSigmoid(c) b = HardSigmoid(a) y = Conv(b, u)",
        "c = Conv(x, w) a = HardSigmoid<beta = 1.5>(c) y = Conv(a, u)",
        "c = Conv(x, w) a = HardSigmoid<alpha = -0.2>(c) y = Conv(a, u)",
        "c = Conv(x, w) p = MaxPool<kernel_shape = [1, 1]>(c) a = HardSigmoid(p) y = Conv(a, u)",
    ],
)
def test_others_stay_float_and_right(steps: str) -> None:
    model, made, _ = quantized(steps)
    assert operators(made)["HardSigmoid"] >= 1
    exact = answers(model, FEED)["y"]
    assert np.abs(answers(made, FEED)["y"] - exact).max() < 0.05 * np.abs(exact).max()


def test_an_answer_keeps_its_floats() -> None:
    made = quantized("c = Conv(x, w) d = Conv(c, u) y = HardSigmoid(d)")[1]
    assert operators(made)["HardSigmoid"] == 1
