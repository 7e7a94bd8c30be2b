"""Ctrl-C while queries are sent: what was measured by then is the result."""

import time
from collections.abc import Callable

import pytest

from optkit.scenarios import Candidate, Scenario, Traffic
from optkit.scenarios.offline import Offline
from optkit.scenarios.single_stream import SingleStream
from optkit.timing.lanes import Calls, Opener


class Interrupted:
    """A model that computes for a millisecond, and is interrupted in a call that a test chooses."""

    def __init__(self, raises: Callable[[int, int], bool]) -> None:
        self.raises = raises
        self.calls: dict[int, int] = {}
        self.rounds = 0

    def progress(self, what: str, done: int, total: int) -> None:
        self.rounds = done

    def opener(self, batch: int) -> Opener:
        def call() -> None:
            self.calls[batch] = self.calls.get(batch, 0) + 1
            if self.raises(batch, self.calls[batch]):
                raise KeyboardInterrupt
            end = time.perf_counter() + 0.001
            while time.perf_counter() < end:
                pass

        def opened() -> Calls:
            return [call]

        return opened


def candidate(model: Interrupted) -> Candidate:
    return Candidate("fake", model.opener, (1, 8))


def silent(what: str, done: int, total: int) -> None:
    pass


@pytest.mark.parametrize("scenario", [SingleStream(), Offline()])
def test_rounds_done_by_then_count(scenario: Scenario) -> None:
    told: list[str] = []
    traffic = Traffic(seconds=3.0, batches=(1, 8))
    model = Interrupted(lambda _, __: model.rounds == 2)
    (found,) = scenario.run([candidate(model)], traffic, model.progress, lambda: told.append("stopped"))
    assert told == ["stopped"]
    rates = {each.name: each.value for each in found.figures}
    assert 0 < (rates.get("queries_per_second") or rates["throughput_batch_1"]) < 1000
    assert not any("does not take" in note for note in found.notes)


def test_batch_sizes_done_by_then_count_where_the_next_one_has_just_begun() -> None:
    told: list[str] = []
    model = Interrupted(lambda batch, _: batch == 8)
    (found,) = Offline().run([candidate(model)], Traffic(seconds=0.05, batches=(1, 8)), silent, lambda: told.append("stopped"))
    assert told == ["stopped"]
    names = [each.name for each in found.figures]
    assert "throughput_batch_1" in names
    assert "throughput_batch_8" not in names


@pytest.mark.parametrize("scenario", [SingleStream(), Offline()])
@pytest.mark.parametrize("hears", [False, True])
def test_where_nothing_was_measured_yet_or_nobody_hears_of_it_it_ends_as_it_always_does(scenario: Scenario, hears: bool) -> None:
    model = candidate(Interrupted(lambda _, call: call == (1 if hears else 100)))
    with pytest.raises(KeyboardInterrupt):
        scenario.run([model], Traffic(seconds=3.0), silent, (lambda: None) if hears else None)
