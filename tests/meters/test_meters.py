"""What each meter reads."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optkit.meters import Fresh, Meter, Readings
from optkit.meters.latency import KEPT
from optkit.registry import load, members
from optkit.samples import Samples

WORDS = members("meters")
FULL = Readings(
    batch=4,
    size=1234,
    compressed=1000,
    cpu=[2.0, 4.0],
    rounds=[np.array([0.25, 0.55]), np.array([0.125, 0.25, 0.225])],
    fresh=[Fresh(1.0, 0.5, 1000, 77, 0.5), Fresh(3.0, 0.25, 3000, 79, 0.25)],
)
EXPECTED = {
    "latency": Samples("latency", "s", "lower", (0.25, 0.55, 0.125, 0.25, 0.225), "round", "median", groups=(0, 0, 1, 1, 1)),
    "throughput": Samples("throughput", "1/s", "higher", (10.0, 20.0), "round", "median"),
    "memory": Samples("memory", "bytes", "lower", (1000.0, 3000.0), "round", "median"),
    "device_memory": Samples("device_memory", "bytes", "lower", (77.0, 79.0), "round", "median"),
    "device_time": Samples("device_time", "s", "lower", (0.5, 0.25), "round", "median"),
    "load_time": Samples("load_time", "s", "lower", (1.0, 3.0), "round", "median"),
    "first_inference": Samples("first_inference", "s", "lower", (0.5, 0.25), "round", "median"),
    "cpu_time": Samples("cpu_time", "s", "lower", (0.5, 1.0), "round", "median"),
    "compressed_size": Samples("compressed_size", "bytes", "lower", (1000.0,), "none", "median"),
    "size": Samples("size", "bytes", "lower", (1234.0,), "none", "median"),
}


def read(word: str, readings: Readings) -> Samples | None:
    meter: Meter = load("meters", word)()
    return meter.read(readings)


def test_every_meter_is_tested() -> None:
    assert set(WORDS) == set(EXPECTED)


@pytest.mark.parametrize("word", WORDS)
def test_what_a_meter_reads(word: str) -> None:
    assert read(word, FULL) == EXPECTED[word]


@pytest.mark.parametrize("word", WORDS)
def test_a_meter_reads_nothing_where_nothing_was_run(word: str) -> None:
    found = read(word, Readings(batch=1, size=1, compressed=1))
    assert (found is None) == (load("meters", word).needs != "file")


@pytest.mark.parametrize("word", WORDS)
def test_a_metric_has_the_name_of_its_meter(word: str) -> None:
    found = read(word, FULL)
    assert found is not None
    assert found.metric == word


@pytest.mark.parametrize("word", ["device_memory", "device_time"])
def test_devices_without_memory_or_clock_of_their_own_have_no_samples(word: str) -> None:
    assert read(word, Readings(batch=1, size=1, fresh=[Fresh(1.0, 1.0, 1)])) is None


@settings(max_examples=20)
@given(rounds=st.lists(st.integers(1, 3 * KEPT), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_thinning_keeps_order_rounds_and_quantiles(rounds: list[int], seed: int) -> None:
    dice = np.random.default_rng(seed)
    times: list[Any] = [dice.gamma(4.0, size=size) for size in rounds]
    found = read("latency", Readings(batch=1, size=1, rounds=times))
    assert found is not None
    assert len(found.values) <= max(KEPT, len(rounds))
    for number, all_of_it in enumerate(times):
        kept = np.array([value for value, group in zip(found.values, found.groups, strict=True) if group == number])
        at = np.searchsorted(np.sort(all_of_it), np.median(kept)) / len(all_of_it)
        # thinned evenly in time, not by value: the median moves by chance alone
        assert abs(at - 0.5) <= 0.5 / max(1, len(kept)) + 4 / np.sqrt(len(kept)) * 0.5
        assert set(kept.tolist()) <= set(all_of_it.tolist())
    assert list(found.groups) == sorted(found.groups)
