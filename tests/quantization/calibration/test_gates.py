"""Ranges of what only a SiLU or its like reads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optkit.arrays import Array
from optkit.quantization.affine import grid_for
from optkit.quantization.calibration.gates import gates, range_before
from optkit.quantization.histogram import Histogram
from optkit.quantization.ranges.mse import Mse

from ..tiny import answers, draw, read


def seen_of(values: Array) -> Histogram:
    seen = Histogram()
    seen.add(values.astype(np.float32))
    return seen


def silu(values: Array) -> Array:
    return np.asarray(values / (1 + np.exp(-values.astype(np.float64))))


def error(values: Array, span: tuple[float, float]) -> float:
    return float(((silu(values) - silu(grid_for(*span).round_trip(values))) ** 2).mean())


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        ("c = Conv(x, u) s = Sigmoid(c) y = Mul(c, s)", ["c"]),
        ("c = Conv(x, u) s = Sigmoid(c) y = Mul(s, c)", ["c"]),
        ("c = Conv(x, u) s = HardSigmoid<alpha=0.25>(c) y = Mul(c, s)", ["c"]),
        ("c = Conv(x, u) s = Sigmoid(c) m = Mul(c, s) y = Add(m, c)", []),  # c is read as it is too
        ("c = Conv(x, u) s = Sigmoid(c) m = Mul(c, s) y = Add(m, s)", []),
        ("c = Conv(x, u) s = Sigmoid(c) y = Mul(x, s)", []),
        ("c = Conv(x, u) s = Sigmoid(c) y = Add(c, s)", []),
        ("c = Conv(x, u) s = Tanh(c) y = Mul(c, s)", []),
    ],
)
def test_a_gate_reads_what_nothing_else_reads(graph: str, found: list[str]) -> None:
    model = read(f"(float[1,4,5,5] x) => (float[1,4,5,5] y) {{ {graph} }}", u=draw(4, 4, 1, 1))
    assert list(gates(model)) == found


@pytest.mark.parametrize("gate", ["Sigmoid", "HardSigmoid<alpha=0.25, beta=0.4>"])
def test_the_function_is_what_the_graph_computes(gate: str) -> None:
    model = read(f"(float[9] x) => (float[9] y) {{ c = Neg(x) s = {gate}(c) y = Mul(c, s) }}")
    x = np.linspace(-9, 9, 9).astype(np.float32)
    np.testing.assert_allclose(gates(model)["c"](-x), answers(model, {"x": x})["y"], rtol=1e-5, atol=1e-6)


def test_large_negative_values_take_no_integers_from_those_that_matter() -> None:
    values = np.concatenate([draw(20000, scale=2), -np.abs(draw(2000, seed=1, scale=40))])
    plain = Mse().range_of(seen_of(values))
    low, high = range_before(seen_of(values), silu, plain)
    assert low > -15 > plain[0]
    assert error(values, (low, high)) < error(values, plain) / 10


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 100), st.floats(-50, 50))
def test_never_worse_than_the_range_it_starts_from(seed: int, scale: float, shift: float) -> None:
    values = draw(3000, seed=seed, scale=scale) + np.float32(shift)
    seen = seen_of(values)
    middles, counts = seen.centres()
    start = Mse().range_of(seen)
    found = range_before(seen, silu, start)

    def after(span: tuple[float, float]) -> float:
        return float((counts * (silu(middles) - silu(grid_for(*span).round_trip(middles))) ** 2).sum())

    assert after(found) <= after((min(start[0], 0), max(start[1], 0))) * (1 + 1e-9)


def test_nothing_seen_keeps_the_range() -> None:
    assert range_before(Histogram(), silu, (-1.0, 2.0)) == (-1.0, 2.0)
