from pathlib import Path

import numpy as np
import pytest

from optkit.arrays import Array
from optkit.artifact import Artifact
from optkit.compare import Comparison, compare
from optkit.measure import Conditions, Machine, Measurement
from optkit.samples import Samples

QUIET = Conditions(40, 10.0, 0.02, 0.0, None)
BUSY = Conditions(40, 10.0, 0.6, 0.0, None)
SHAPE = (40, 30)
"""Rounds, and runs in each."""


def drawn(seed: int, scale: float) -> Array:
    return scale * 1e-3 * np.exp(np.random.default_rng(seed).normal(0, 0.05, SHAPE))


def compared(first: Array, second: Array, conditions: Conditions | None = QUIET) -> Comparison:
    machine, rounds = Machine("Linux", "a CPU", 2, (), {}), tuple(np.repeat(np.arange(SHAPE[0]), SHAPE[1]).tolist())

    def measured(name: str, values: Array) -> Measurement:
        times = Samples("latency", "s", "lower", tuple(values.ravel().tolist()), "round", "median", groups=rounds)
        return Measurement(Artifact(Path(name), "onnx", name), name, "cpu", 1, 2, machine, (times,), {}, conditions)

    return compare(measured("a", first), measured("b", second))


def quantiles(found: Comparison) -> list[str]:
    return [delta.metric.removeprefix("latency_") for delta in found.deltas]


def said(found: Comparison) -> str:
    return " ".join(each.what for each in found.warnings)


def every(number: int, slower: float) -> Array:
    """A factor that hits every so many-th query."""
    return np.where(np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE) % number == 0, slower, 1.0)


@pytest.mark.parametrize("conditions", [QUIET, BUSY, None])
def test_on_quiet_queries_all_quantiles_are_told(conditions: Conditions | None) -> None:
    found = compared(drawn(0, 1), drawn(1, 0.4), conditions)
    assert quantiles(found) == ["median", "p90", "p99"]
    assert "waited" not in said(found)


def test_queries_that_waited_in_some_rounds_only_make_no_p90() -> None:
    """Half of the rounds wait 7 times as long in a third of their queries: 17 times as fast it would say, and the median 2.5."""
    hit = every(3, 7.0)
    hit[::2] = 1.0
    found = compared(drawn(0, 1) * hit, drawn(1, 0.4))
    assert quantiles(found) == ["median"]
    assert "so there is no p90 and no p99" in said(found)
    assert found.deltas[0].gain == pytest.approx(0.6, abs=0.02)


def test_one_model_that_waited_in_all_rounds_makes_none_where_others_were_at_work() -> None:
    hit = drawn(0, 1) * every(5, 6.0), drawn(1, 0.4)
    assert quantiles(compared(*hit, BUSY)) == ["median"]
    assert quantiles(compared(*hit, QUIET)) == ["median", "p90", "p99"]  # then it is the model, which is worth knowing


def test_inputs_that_take_long_are_no_waiting() -> None:
    """Every fifth input is 4 times as long, for both models and in every round."""
    found = compared(drawn(0, 1) * every(5, 4.0), drawn(1, 0.4) * every(5, 4.0), BUSY)
    assert quantiles(found) == ["median", "p90", "p99"]


@pytest.mark.parametrize(("number", "left"), [(50, ["median", "p90"]), (5, ["median"])])
def test_what_is_beyond_a_schedulers_slice_is_left_out_at_its_quantile(number: int, left: list[str]) -> None:
    found = compared(drawn(0, 1) * every(number, 20.0), drawn(1, 0.4) * every(number, 20.0))
    assert quantiles(found) == left
    assert ("no p90" in said(found)) == ("p90" not in left)


def test_a_machine_that_slows_down_for_a_while_is_no_tail() -> None:
    slower = np.where(np.arange(SHAPE[0]) % 2 == 0, 1.8, 1.0)[:, None]
    assert quantiles(compared(drawn(0, 1) * slower, drawn(1, 0.4) * slower)) == ["median", "p90", "p99"]


def test_stolen_time_counts_as_busy() -> None:
    stolen = Conditions(40, 10.0, 0.0, 0.1, None)
    assert quantiles(compared(drawn(0, 1) * every(5, 3.0), drawn(1, 0.4), stolen)) == ["median"]
