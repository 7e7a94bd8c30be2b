"""Scenarios on real models, and what they cost."""

from io import StringIO
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from rich.console import Console

from optkit.artifact import Artifact
from optkit.bench import Benched, BenchReport, bench
from optkit.bench._candidates import states_of
from optkit.datasets import Examples
from optkit.errors import UsageError
from optkit.formats import read_artifact
from optkit.records import read_record, write_record
from optkit.runtimes import open_session
from optkit.scenarios import Traffic


@pytest.fixture
def counter(tmp_path: Path) -> Artifact:
    """Adds each chunk to its state, which it gives back as `stateN`."""
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2]) for name in ("chunk", "state", "sum", "stateN")]
    nodes = [helper.make_node("Add", ["chunk", "state"], ["sum"]), helper.make_node("Identity", ["sum"], ["stateN"])]
    graph = helper.make_graph(nodes, "counter", ports[:2], ports[2:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "counter.onnx")
    return read_artifact(tmp_path / "counter.onnx")


CHUNKS = Examples("chunks", {"chunk": np.ones((5, 1, 2), np.float32), "state": np.zeros((5, 1, 2), np.float32)}, whole=True)


def test_a_report_is_written_and_read_back(counter: Artifact) -> None:
    report = bench([counter], CHUNKS, scenarios=("single_stream", "offline"), traffic=Traffic(seconds=0.05), price=0.36)
    assert [each.scenario for each in report.results] == ["single_stream", "offline"]
    assert read_record(BenchReport, write_record(report)) == report
    figures = {figure.name: figure for figure in report.results[1].outcome.figures}
    rate, cost = figures["throughput"], figures["cost_per_million"]
    assert cost.value == pytest.approx(0.36 / 3600 / rate.value * 1e6)
    assert cost.low is not None
    assert cost.low <= cost.value


def test_a_stream_feeds_its_state_back(counter: Artifact) -> None:
    from optkit.bench._candidates import candidates

    (ready,) = candidates([counter], CHUNKS, "cpu", 1, Traffic(), streaming=True)
    (call,) = ready.opener(1)()
    for _ in range(3):
        call()
    held = next(cell.cell_contents for cell in call.__closure__ or () if isinstance(cell.cell_contents, dict))
    np.testing.assert_array_equal(held["state"], [[3, 3]])


def test_states_are_found_by_their_names(counter: Artifact) -> None:
    session = open_session(counter.path)
    assert states_of(session, {}, CHUNKS) == {"stateN": "state"}
    assert states_of(session, {"sum": "state"}, CHUNKS) == {"sum": "state"}
    with pytest.raises(UsageError, match="no such output and input"):
        states_of(session, {"nothing": "state"}, CHUNKS)


def test_ranges_of_many_models_stand_below_their_values() -> None:
    from optkit.reports.bench import _table
    from optkit.scenarios import Figure, Outcome

    found = Benched("m.onnx", "d", "offline", "cpu", 1, Outcome((Figure("latency_p50", "s", 411e-6, 382e-6, 425e-6, 300),)))
    console = Console(width=80, file=StringIO())
    console.print(_table([found] * 3))
    console.print(_table([found]))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[1].split() == ["latency,", "p50", *["411", "µs"] * 3]
    assert lines[2].split() == ["(382", "to", "425)"] * 3
    assert lines[-1].endswith("411 µs (382 to 425)")


def test_an_interrupt_leaves_the_scenarios_that_are_done(counter: Artifact) -> None:
    def interrupt(what: str, done: int, total: int) -> None:
        if what.startswith("offline"):
            raise KeyboardInterrupt

    report = bench([counter], CHUNKS, scenarios=("single_stream", "offline"), traffic=Traffic(seconds=0.05), progress=interrupt)
    assert report.interrupted
    assert [each.scenario for each in report.results] == ["single_stream"]
    with pytest.raises(KeyboardInterrupt):
        bench([counter], CHUNKS, scenarios=("offline",), traffic=Traffic(seconds=0.05), progress=interrupt)
