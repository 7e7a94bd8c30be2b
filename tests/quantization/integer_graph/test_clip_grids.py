"""Grids within a Clip, so that the convolution before it computes in integers."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.quantization.affine import Grid, grid_for
from optkit.quantization.integer_graph.clip_grids import within
from optkit.quantization.integer_graph.insert_static import insert_static, tensors_to_observe
from optkit.quantization.operators import weighted_nodes
from optkit.quantization.variants.build import shared_grids

from ..tiny import answers, draw, fused, grids_for, read


@given(st.floats(-50, 0, width=32), st.floats(0, 50, width=32), st.floats(-60, 0), st.floats(0, 60))
def test_ends_lie_within_the_bounds_and_little_is_lost(low: float, high: float, seen_low: float, seen_high: float) -> None:
    grid = grid_for(max(low, seen_low), min(high, seen_high))
    fitted = within(grid, low, high)
    if low < 0 < high and min(-low, high) > 1e-3 * max(-low, high) and grid.scale > 1e-4 and 1 <= grid.zero_point <= 254:
        for steps, bound in ((-fitted.zero_point, low), (255 - fitted.zero_point, high)):
            assert abs(np.float32(steps) * np.float32(fitted.scale)) <= abs(bound)
    assert fitted.zero_point == grid.zero_point
    assert 0 < fitted.scale <= grid.scale


def test_bounds_without_zero_and_grids_that_fit_change_nothing() -> None:
    grid = Grid(0.01, 100)
    assert within(grid, 0.5, 3) is grid
    assert within(grid, -5, 5) == Grid(float(np.float32(0.01)), 100)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 6.0), (-0.3, 2.7), (-4.0, 0.001)])
def test_a_clipped_convolution_computes_in_integers(low: float, high: float, tmp_path: Path) -> None:
    model = read(
        "(float[N,8,6,6] x) => (float[N,8,6,6] y) { c = Conv(x, w) r = Clip(c, low, high) y = Conv(r, w) }",
        w=draw(8, 8, 1, 1),
        low=np.float32(low),
        high=np.float32(high),
    )
    feed = {"x": draw(3, 8, 6, 6, scale=2)}
    exact = answers(model, feed)["y"]
    nodes = weighted_nodes(model)
    names = [str(n.name) for n in nodes]
    insert_static(model, names, shared_grids(model, names, grids_for(model, tensors_to_observe(nodes), feed)))
    assert fused(model, tmp_path)["QLinearConv"] == 2
    assert np.abs(answers(model, feed)["y"] - exact).max() < 0.05 * np.abs(exact).max()
