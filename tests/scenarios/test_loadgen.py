"""The official traffic, where MLCommons' LoadGen is installed; what is said where it is not."""

import time
from collections.abc import Callable

import pytest

from optkit.errors import MissingLibrary, UsageError
from optkit.scenarios import Candidate, Outcome, Traffic
from optkit.scenarios import _loadgen as module
from optkit.timing.lanes import Opener

TAKES = 0.001


def candidate(batches: tuple[int, ...] = (1,), call: Callable[[], None] = lambda: time.sleep(TAKES)) -> Candidate:
    def opener(batch: int) -> Opener:
        return lambda: [call]

    return Candidate("model", opener, batches)


def run(word: str, model: Candidate, traffic: Traffic) -> Outcome:
    pytest.importorskip("mlperf_loadgen")
    (outcome,) = module.LoadGenerator(word).run([model], traffic, lambda what, done, total: None)
    return outcome


@pytest.mark.slow
def test_single_stream_gives_latencies_that_enough_queries_were_sent_for() -> None:
    outcome = run("single_stream", candidate(), Traffic(seconds=0.3))
    figures = {each.name: each for each in outcome.figures}
    assert figures["latency_p50"].value >= TAKES
    assert figures["latency_p50"].n >= 64
    assert "latency_p999" not in figures
    assert figures["queries_per_second"].value <= 1 / TAKES
    assert outcome.notes[0].startswith("MLPerf LoadGen: VALID")


@pytest.mark.slow
def test_offline_takes_the_batch_size_with_the_highest_throughput() -> None:
    outcome = run("offline", candidate((1, 4)), Traffic(seconds=0.2, batches=(1, 4)))
    figures = {each.name: each.value for each in outcome.figures}
    assert figures["best_batch"] == 4
    assert 1 / TAKES < figures["throughput"] <= 4 / TAKES
    assert "VALID" in outcome.notes[0]


@pytest.mark.slow
def test_server_finds_a_rate_that_holds() -> None:
    outcome = run("server", candidate((1, 4)), Traffic(seconds=0.2, batches=(1, 4), slo=0.5))
    figures = {each.name: each.value for each in outcome.figures}
    assert 0 < figures["queries_per_second"] <= 4.5 / TAKES
    assert figures["latency_p99"] <= 0.5
    assert "LoadGen: VALID" in outcome.notes[0]


@pytest.mark.slow
def test_a_promise_that_cannot_be_kept_is_not_tried() -> None:
    outcome = run("server", candidate(), Traffic(seconds=0.05, slo=TAKES / 100))
    assert outcome.figures == ()
    assert "no rate can hold" in outcome.notes[0]


@pytest.mark.slow
def test_a_rate_that_does_not_hold_is_not_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "rate_to_start", lambda *_: 3 / TAKES)
    monkeypatch.setattr(module, "TRIES", 1)
    outcome = run("server", candidate(), Traffic(seconds=0.2, slo=20 * TAKES))
    assert "queries_per_second" not in {each.name for each in outcome.figures}
    assert "LoadGen: INVALID (" in outcome.notes[0]


@pytest.mark.slow
@pytest.mark.parametrize("word", ["single_stream", "offline", "server"])
def test_what_a_model_raises_comes_out(word: str) -> None:
    calls: list[int] = []

    def broken() -> None:
        calls.append(1)
        time.sleep(TAKES)
        if len(calls) > 70:
            raise ZeroDivisionError("it broke")

    with pytest.raises(ZeroDivisionError, match="it broke"):
        run(word, candidate(call=broken), Traffic(seconds=0.2, slo=1.0))


def test_streaming_is_no_official_scenario_and_a_limit_is_needed() -> None:
    with pytest.raises(UsageError, match="MLPerf has no scenario streaming"):
        module.LoadGenerator("streaming")
    with pytest.raises(UsageError, match="what is in time"):
        run("server", candidate(), Traffic())


def test_how_to_install_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optkit.needs.find_spec", lambda name: None)
    with pytest.raises(MissingLibrary, match="--loadgen needs mlperf_loadgen") as raised:
        module.LoadGenerator("offline")
    assert raised.value.hint == "pip install 'optkit[loadgen]'"
