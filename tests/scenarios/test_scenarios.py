"""Scenarios on fake models whose every time is known."""

import re
import time
from collections.abc import Callable, Mapping
from decimal import Decimal, localcontext
from fractions import Fraction
from math import factorial

import numpy as np
import pytest

from optkit.errors import UsageError
from optkit.scenarios import Candidate, Figure, Outcome, Traffic, server
from optkit.scenarios._played import rate_to_start, simulated
from optkit.scenarios._queue import Queue, next_batch, runner, serve
from optkit.scenarios.offline import Offline
from optkit.scenarios.server import Server
from optkit.scenarios.single_stream import SingleStream
from optkit.scenarios.streaming import Streaming
from optkit.timing.lanes import Calls, Opener


def silent(what: str, done: int, total: int) -> None:
    pass


def spinning(seconds: Callable[[int], float], batches: tuple[int, ...] = (1,), name: str = "fake") -> Candidate:
    """A model that computes for so many seconds for a batch."""

    def opener(batch: int) -> Opener:
        def call() -> None:
            end = time.perf_counter() + seconds(batch)
            while time.perf_counter() < end:
                pass

        def open_and_bind() -> Calls:
            return [call]

        return open_and_bind

    return Candidate(name, opener, batches)


def figure(outcome: Outcome, name: str) -> float:
    return next(each.value for each in outcome.figures if each.name == name)


@pytest.mark.slow
def test_single_stream_shows_only_percentiles_that_it_knows() -> None:
    (found,) = SingleStream().run([spinning(lambda _: 0.001)], Traffic(seconds=2), silent)
    names = [each.name for each in found.figures]
    assert "latency_p50" in names
    assert "latency_p999" not in names
    assert "p99.9 (needs 10,000 queries)" in found.notes[0]
    assert figure(found, "latency_p50") >= 0.001
    for each in found.figures:
        assert each.low is not None
        assert each.high is not None
        assert each.low <= each.value <= each.high
    assert figure(found, "queries_per_second") <= 1000


@pytest.mark.slow
def test_offline_prefers_the_smallest_batch_of_those_that_are_as_fast() -> None:
    slow, fast = spinning(lambda batch: 0.0005 * batch, (1, 4, 8)), spinning(lambda batch: 0.001 + 0.0001 * batch, (1, 8))
    slow_found, fast_found = Offline().run([slow, fast], Traffic(seconds=0.2, batches=(1, 4, 8)), silent)
    assert figure(fast_found, "best_batch") == 8
    assert fast_found.notes == ("it does not take batches of 4",)
    assert figure(fast_found, "throughput") == figure(fast_found, "throughput_batch_8")
    assert {each.name for each in slow_found.figures} >= {"throughput_batch_1", "throughput_batch_4", "throughput_batch_8"}


def test_no_rate_holds_where_one_query_takes_too_long() -> None:
    (found,) = Server().run([spinning(lambda _: 0.01)], Traffic(seconds=0.1, slo=0.005), silent)
    assert found.figures == ()
    assert "a single query takes longer than 5.00 ms" in found.notes[0]


def test_the_server_wants_to_know_what_is_in_time() -> None:
    with pytest.raises(UsageError, match="what is in time"):
        Server().run([], Traffic(), silent)
    with pytest.raises(UsageError, match="how long a chunk lasts"):
        Streaming().run([], Traffic(), silent)


@pytest.mark.slow
def test_every_query_is_answered_once_and_never_before_it_came() -> None:
    asked: list[int] = []
    arrivals = np.cumsum(np.random.default_rng(0).exponential(0.001, 300))
    waits = serve(lambda batch: asked.append(batch) or 0.0, Queue((1, 2, 4), 0.0), arrivals).waits  # type: ignore[func-returns-value]
    assert (waits >= 0).all()
    assert sum(asked) >= len(arrivals)


def test_queries_wait_for_others_no_longer_than_allowed() -> None:
    queue, arrivals = Queue((1, 4), 0.01), [0.0, 0.002, 0.5]
    assert next_batch(queue, arrivals, 0, 0.0) == (0, 0.002)
    assert next_batch(queue, arrivals, 0, 0.005) == (0, 0.01)
    assert next_batch(queue, arrivals, 0, 0.01)[0] == 1
    assert next_batch(queue, arrivals, 2, 0.5)[0] == 1, "nobody comes after the last"
    assert Queue((4, 8), 0.0).size_for(3) == 4


def test_playing_the_queue_through_agrees_with_queueing_theory() -> None:
    """One worker, Poisson arrivals, constant service: the mean wait is that of Pollaczek and Khinchine."""
    dice, service, load = np.random.default_rng(3), 0.01, 0.7
    arrivals = np.cumsum(dice.exponential(service / load, 60_000))
    waits = simulated({1: np.array([service])}, Queue((1,), 0.0), arrivals, dice)
    expected = service + load * service / (2 * (1 - load))
    assert abs(waits.mean() / expected - 1) < 0.05


class FakeTime:
    """A clock that goes on only while somebody computes, sleeps or looks at it."""

    now = 0.0

    def perf_counter(self) -> float:
        self.now += 2e-6
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 1e-6)


def rate_that_holds(service: float, slo: float) -> float:
    """The rate at which 1 of 100 queries takes longer, of Poisson arrivals and constant service (Erlang 1909, for M/D/1 queues)."""

    def in_time(rate: float) -> float:
        patience, total = Fraction(slo) - Fraction(service), 0.0
        with localcontext(prec=60):
            parts = Decimal(0)
            for k in range(int(patience / Fraction(service)) + 1):
                x = Decimal(rate) * (Decimal(k) * Decimal(service) - Decimal(slo) + Decimal(service))
                parts += (x**k if k else Decimal(1)) / factorial(k) * (-x).exp()
            total = float(parts)
        return (1 - rate * service) * total

    low, high = 0.0, 1 / service
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if in_time(middle) >= 0.99 else (low, middle)
    return low


def counting(name: str, fake: FakeTime, service: float, asked: list[str] | None = None) -> Candidate:
    """A model that takes `service` seconds of a clock that is none, and notes who was asked."""

    def call() -> None:
        fake.now += service
        if asked is not None and asked[-1:] != [name]:
            asked.append(name)

    return Candidate(name, lambda _: lambda: [call], (1,))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    clock = FakeTime()
    monkeypatch.setattr("optkit.scenarios._queue.time", clock)
    monkeypatch.setattr("optkit.scenarios._played.SIMULATED", (200, 2_000))  # a rough start: where it ends is judged elsewhere
    return clock


def test_a_rate_that_holds_is_below_what_the_model_can_do(fake: FakeTime) -> None:
    (found,) = Server().run([counting("fake", fake, 0.002)], Traffic(seconds=0.5, slo=0.05, seed=1), silent)
    assert figure(found, "queries_per_second") <= 1 / 0.002


def test_models_of_a_server_take_turns_try_by_try(fake: FakeTime) -> None:
    order: list[str] = []
    Server().run([counting(name, fake, 0.001, order) for name in "ab"], Traffic(seconds=0.01, slo=0.01), silent)
    assert order[:4] == ["a", "b", "a", "b"]


def test_a_rate_is_found_for_a_model_that_takes_less_than_asking_it(fake: FakeTime, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_to_ask = 2e-4
    served = runner

    def run_slowly(opened: Mapping[int, Calls]) -> Callable[[int], float]:
        run = served(opened)

        def asked(batch: int) -> float:
            seconds = run(batch)
            fake.now += slow_to_ask  # and nobody measures it
            return seconds

        return asked

    monkeypatch.setattr(server, "runner", run_slowly)
    (found,) = Server().run([counting("fake", fake, 2e-5)], Traffic(seconds=0.1, slo=0.01), silent)
    assert 0.8 / slow_to_ask < figure(found, "queries_per_second") < 1 / slow_to_ask


def whole(outcome: Outcome, name: str) -> Figure:
    return next(each for each in outcome.figures if each.name == name)


@pytest.mark.parametrize("off", [0.3, 3.0])
def test_a_start_far_off_ends_between_a_rate_that_holds_and_a_near_one_that_does_not(
    off: float, fake: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the machine was busy, or quiet, only while batches were timed at first."""
    first = [off * rate_that_holds(0.001, 0.02)]
    monkeypatch.setattr(server, "rate_to_start", lambda *given: first.pop() if first else rate_to_start(*given))
    (found,) = Server().run([counting("fake", fake, 0.001)], Traffic(seconds=2, slo=0.02), silent)
    rate = whole(found, "queries_per_second")
    assert rate.low == rate.value
    assert rate.high is not None
    assert rate.value < rate.high <= 1.06 * rate.value
    assert rate.high > 0.85 * rate_that_holds(0.001, 0.02)
    assert rate.value < 1.1 * rate_that_holds(0.001, 0.02)
    assert "the lowest that did not" in found.notes[0]


def test_a_search_that_ends_while_rates_still_hold_says_so(fake: FakeTime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_TRIES", 1)
    monkeypatch.setattr(server, "rate_to_start", lambda *_: 100.0)
    (found,) = Server().run([counting("fake", fake, 0.001)], Traffic(seconds=1, slo=0.02), silent)
    rate = whole(found, "queries_per_second")
    assert (rate.value, rate.low, rate.high) == (100.0, None, None)
    assert "no rate had failed: the highest may be higher" in found.notes[0]


def test_a_stall_while_batches_are_timed_does_not_end_the_search(fake: FakeTime) -> None:
    calls: list[int] = []

    def call() -> None:
        calls.append(1)
        fake.now += 0.5 if len(calls) == 10 else 0.001

    (found,) = Server().run([Candidate("fake", lambda _: lambda: [call], (1,))], Traffic(seconds=1, slo=0.02), silent)
    assert figure(found, "queries_per_second") > 0.8 * rate_that_holds(0.001, 0.02)


def test_a_limit_is_told_in_the_unit_that_suits_it(fake: FakeTime) -> None:
    (found,) = Server().run([counting("fake", fake, 0.001)], Traffic(seconds=1, slo=1e-5), silent)
    assert found.notes == ("a single query takes longer than 10.0 µs, so no rate can hold",)


def interrupting(fake: FakeTime, at: int) -> Candidate:
    calls: list[int] = []

    def call() -> None:
        calls.append(1)
        if len(calls) == at:
            raise KeyboardInterrupt
        fake.now += 0.001

    return Candidate("fake", lambda _: lambda: [call], (1,))


@pytest.mark.parametrize("at", [1_500, 3_000, 12_000])
def test_ctrl_c_leaves_the_best_rate_that_had_held(at: int, fake: FakeTime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the first try, which is long enough by then; just after it; and much later."""
    low = 0.8 * rate_that_holds(0.001, 0.02)
    monkeypatch.setattr(server, "rate_to_start", lambda *_: low)
    told: list[str] = []
    (found,) = Server().run([interrupting(fake, at)], Traffic(seconds=20, slo=0.02), silent, lambda: told.append("stopped"))
    assert told == ["stopped"]
    assert low <= figure(found, "queries_per_second") < 1.1 * rate_that_holds(0.001, 0.02)
    assert any("interrupted" in note for note in found.notes)


def test_ctrl_c_before_any_rate_held_tells_of_one_that_did_not(fake: FakeTime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "rate_to_start", lambda *_: 10_000.0)
    (found,) = Server().run([interrupting(fake, 2_200)], Traffic(seconds=5, slo=0.02), silent, lambda: None)
    assert found.figures == ()
    assert re.fullmatch(r"it was interrupted before a rate held; [0-9,]+ a second did not hold", found.notes[0])


def test_ctrl_c_before_any_rate_held_ends_it(fake: FakeTime) -> None:
    with pytest.raises(KeyboardInterrupt):
        Server().run([interrupting(fake, 500)], Traffic(seconds=20, slo=0.02), silent, lambda: None)
    with pytest.raises(KeyboardInterrupt):  # and where nobody hears of it
        Server().run([interrupting(fake, 12_000)], Traffic(seconds=20, slo=0.02), silent)


def test_serving_ends_as_soon_as_too_many_are_late(fake: FakeTime) -> None:
    served = serve(lambda _: setattr(fake, "now", fake.now + 0.01) or 0.0, Queue((1,), 0.0), np.full(1000, 0.001), 0.05, 20)  # type: ignore[func-returns-value]
    assert (served.waits > 0.05).sum() == 21
    assert len(served.waits) < 30


@pytest.mark.slow
@pytest.mark.parametrize(("service", "slo"), [(0.005, 0.05), (0.005, 0.015)])
def test_the_rate_found_is_that_of_queueing_theory(service: float, slo: float, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for seed in range(2):
        fake = FakeTime()
        monkeypatch.setattr("optkit.scenarios._queue.time", fake)
        (outcome,) = Server().run([counting("fake", fake, service)], Traffic(seconds=4, slo=slo, seed=seed), silent)
        found.append(figure(outcome, "queries_per_second"))
    assert max(found) < 1.05 * rate_that_holds(service, slo)
    assert min(found) > 0.9 * rate_that_holds(service, slo)


@pytest.mark.slow
def test_a_stream_that_is_too_slow_is_told() -> None:
    fast, slow = Streaming().run([spinning(lambda _: 0.0005), spinning(lambda _: 0.004)], Traffic(seconds=0.2, chunk=0.002), silent)
    assert figure(fast, "real_time_factor") < figure(slow, "real_time_factor")
    assert figure(slow, "real_time_factor") >= 2
    assert slow.notes == ("it does not keep up with the signal",)
