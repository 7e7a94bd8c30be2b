"""What is said, and left out, of scenarios on a busy machine."""

from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from optkit.arrays import Array
from optkit.bench import Benched, BenchReport, Watched
from optkit.bench._doubts import judged, watched
from optkit.measure import Conditions, Machine
from optkit.records import read_record, write_record
from optkit.reports.bench import draw
from optkit.scenarios import Figure, Outcome, Timed, Traffic

QUIET = Conditions(30, 5.0, 0.02, 0.0, None, 30)
BUSY = Conditions(30, 5.0, 0.7, 0.0, None, 30)
SHARES = ("p50", "p90", "p95", "p99")


def rounds_of(seed: int, stall: float = 1.0, every: int = 50) -> list[Array]:
    """30 rounds of 100 queries, every so many-th of which a scheduler held up."""
    times = 1e-3 * np.exp(np.random.default_rng(seed).normal(0, 0.05, (30, 100)))
    times.ravel()[::every] *= stall
    return list(times)


def outcome(rounds: list[Array], openings: int = 30) -> Timed:
    figures = tuple(Figure(f"latency_{share}", "s", 1e-3, 0.9e-3, 1.1e-3, 3000) for share in SHARES)
    return Timed(figures, (), {1: rounds}, openings)


def shown(found: Outcome) -> list[str]:
    return [each.name.removeprefix("latency_") for each in found.figures]


def test_a_quiet_machine_is_not_spoken_of() -> None:
    found, warnings = judged("ab", [outcome(rounds_of(0)), outcome(rounds_of(1))], QUIET, "on cpu", 5.0)
    assert [shown(each) for each in found] == [list(SHARES)] * 2
    assert warnings == ()


@pytest.mark.parametrize(("every", "left"), [(50, ["p50", "p90", "p95"]), (15, ["p50", "p90"]), (5, ["p50"])])
def test_percentiles_of_queries_that_waited_are_left_out(every: int, left: list[str]) -> None:
    found, warnings = judged("ab", [outcome(rounds_of(0, 30.0, every)), outcome(rounds_of(1))], BUSY, "on cpu", 5.0)
    assert [shown(each) for each in found] == [left] * 2
    said = [each.what for each in warnings]
    assert "so there is no " + " and no ".join(SHARES[len(left) :]) in said[0]
    assert "other programs used 70% of the machine while models were timed on cpu" in said


def test_who_measured_for_long_is_not_told_to_measure_longer() -> None:
    hints = [judged("a", [outcome(rounds_of(0))], BUSY, "on cpu", seconds)[1][0].hint for seconds in (5.0, 30.0)]
    assert ["--time 30s" in hint for hint in hints] == [True, False]


def test_a_server_is_warned_of_too() -> None:
    served = Outcome((Figure("latency_p99", "s", 0.01, None, None, 1000),))
    found, warnings = judged("a", [served], BUSY, "on cpu", 5.0)
    assert found == [served]
    assert ["other programs" in each.what for each in warnings] == [True]


def test_rounds_and_openings_are_those_of_the_outcomes() -> None:
    found = watched(Conditions(0, 5.0, 0.0, 0.0, None, 0), [outcome(rounds_of(0), 1), Outcome(())])
    assert (found.rounds, found.openings) == (30, 1)
    (said,) = (each.what for each in judged("a", [outcome(rounds_of(0), 1)], found, "on cpu", 5.0)[1])
    assert "too long to open" in said
    assert judged("a", [outcome(rounds_of(0), 1)], replace(found, interrupted=True), "on cpu", 5.0)[1] == ()
    assert watched(found, [Outcome(())]).openings is None


def report(results: list[Benched], seen: tuple[Watched, ...]) -> BenchReport:
    machine = Machine("Linux", "a CPU", 2, (), {"onnxruntime": "1.30"})
    return BenchReport(1, "2026-01-01T00:00:00+00:00", machine, Traffic(), "made-up inputs", tuple(results), seen)


def drawn(found: BenchReport) -> list[str]:
    console = Console(width=80, file=StringIO())
    draw(console, found)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined,no-any-return]


def test_warnings_stand_below_the_table_of_their_scenario_and_in_the_json() -> None:
    timed = [outcome(rounds_of(0, 30.0)), outcome(rounds_of(1))]
    found, warnings = judged("ab", timed, BUSY, "on cpu", 5.0)
    busy, quiet = (Watched(word, "cpu", 1, BUSY, given) for word, given in (("single_stream", warnings), ("offline", ())))
    results = [Benched("a.onnx", "d", word, "cpu", 1, found[0]) for word in ("single_stream", "offline")]
    whole = report(results, (busy, quiet))
    assert read_record(BenchReport, write_record(whole)) == whole
    lines = drawn(whole)
    first, second = lines[: lines.index("offline on cpu, 1 thread")], lines[lines.index("offline on cpu, 1 thread") :]
    assert "there is no" in " ".join(first)
    assert any(line.startswith("hint: ") for line in first)
    assert not any(line.startswith("warning: ") for line in second)
    assert max(map(len, lines)) <= 80


def test_a_scenario_without_a_figure_has_no_table() -> None:
    none = Outcome((), ("a single query takes longer than 10.0 µs, so no rate can hold",))
    lines = drawn(report([Benched("a.onnx", "d", "server", "cpu", 1, none)], ()))
    assert [line.rstrip() for line in lines[:3]] == ["server on cpu, 1 thread", none.notes[0], ""]
