import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from optkit.artifact import Artifact
from optkit.cli import main
from optkit.compare import Comparison, Delta
from optkit.measure import Machine, Measurement
from optkit.report import SCHEMA, Report, save_report

Gate = Callable[..., Result]
TOP1 = Delta("top1", "cpu", 1, "ratio", "higher", 0.9, 0.8955, -0.005, -0.009, -0.001, "worse", "Tango score interval", 1000)
SPEED = Delta("latency_median", "cpu", 1, "s", "lower", 0.002, 0.001, 0.5, 0.48, 0.52, "better", "block bootstrap over rounds", 30)
SIZE = Delta("size", "cpu", 1, "bytes", "lower", 1e6, 3e5, 0.7, 0.7, 0.7, "better", "exact", 1)


def report(*deltas: Delta) -> Report:
    machine = Machine("Linux", "a CPU", 2, (), {})
    measured = [Measurement(Artifact(Path(name), "onnx", name), name, "cpu", 1, 1, machine, (), {}) for name in "ab"]
    return Report(SCHEMA, "a → b", "2026-01-02T03:04:05+00:00", tuple(measured), (Comparison("a", "b", deltas),))


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    save_report(report(TOP1, SPEED, SIZE), tmp_path / "report.json")
    return tmp_path


@pytest.fixture
def gate(room: Path) -> Gate:
    """`gate(…)` judges the stored report; nothing is measured."""
    return lambda *line: CliRunner().invoke(main, ["gate", "--report", "report.json", *line], prog_name="optkit")


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        (["--max-drop", "1%"], 0, "PASSED: 1 of 1 limits hold"),
        (["--max-drop", "0.01", "--min-speedup", "1.5", "--max-size", "50%"], 0, "PASSED: 3 of 3 limits hold"),
        (["--max-drop", "0.1%", "--strict"], 1, "UNDECIDED"),
        (["--max-drop", "0.05%"], 1, "FAILED: 1 of 1 limits broken"),
        (["--max-drop", "1%", "--min-speedup", "3"], 1, "FAILED: 1 of 2 limits broken"),
        (["--max-drop", "0.7%"], 0, "UNDECIDED: 1 of 1 limits undecided, so nothing is proven; --strict would fail it"),
        (["--max-drop", "0.7%", "--strict"], 1, "FAILED: 1 of 1 limits undecided, and --strict takes that for broken"),
    ],
)
def test_the_exit_code_is_the_verdict(gate: Gate, line: list[str], code: int, says: str) -> None:
    shown = gate(*line)
    assert shown.exit_code == code
    assert says in shown.stdout


def test_what_broke_and_by_how_much(gate: Gate) -> None:
    shown = " ".join(gate("--max-size", "0.25").stdout.split())
    assert "FAILED --max-size 0.25 30.0% of the size (300 kB of 1.00 MB); 25% is allowed: 5.0% of the original too large" in shown


def test_files_for_ci_are_written_when_it_fails_too(gate: Gate, room: Path) -> None:
    shown = gate("--max-size", "0.25", "--junit", "gate.xml", "--markdown", "gate.md")
    assert shown.exit_code == 1
    assert ElementTree.parse(room / "gate.xml").getroot()[0].get("failures") == "1"
    assert "**FAILED: 1 of 1 limits broken**" in (room / "gate.md").read_text()


def test_json_holds_deltas_and_verdict_and_stderr_says_what_failed(gate: Gate) -> None:
    shown = gate("--max-size", "0.25", "--json")
    found = json.loads(shown.stdout)
    assert [delta["metric"] for delta in found["deltas"]] == ["top1", "latency_median", "size"]
    assert found["verdict"]["outcome"] == "failed"
    assert shown.stderr == "FAILED: 1 of 1 limits broken\n"


def test_on_github_limits_are_annotations(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "::error" not in gate("--max-size", "0.25").stderr
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert gate("--max-size", "0.25").stderr.startswith("::error title=optkit --max-size 0.25%3A failed::30.0%25 of the size")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ([], "there is no limit"),
        (["--min-agreement", "99%"], "--min-agreement 99%: no agreement was measured"),
        (["--max-drop", "1"], "1 is not between 0 and 0.99\nhint: for 1 percent write 1%"),
        (["--precision", "0"], "0 is not between 0.0001 and 0.99"),
        (["--max-drop", "5"], "for 5 percent write 5%"),
        (["--min-agreement", "99"], "for 99 percent write 99%"),
        (["--max-size", "50"], "for 50 percent write 50%"),
        (["--max-size", "0"], "0 is not between 0.001 and 10"),
        (["--min-speedup", "0"], "x>0"),
        (["--max-size", "0.5", "model.onnx", "other.onnx"], "leave the models out"),
        (["--max-size", "0.5", "--markdown", "report.json"], "this file is read"),
    ],
)
def test_limits_that_cannot_be_judged_are_errors(gate: Gate, line: list[str], complaint: str) -> None:
    shown = gate(*line)
    assert shown.exit_code == 2
    assert complaint in shown.stderr
    assert len(shown.stderr.strip().splitlines()) == 2
    assert not shown.stdout


def test_a_drop_without_labels_is_an_error_and_never_passes(room: Path) -> None:
    save_report(report(SPEED, SIZE), room / "unlabelled.json")
    line = ["gate", "--report", "unlabelled.json", "--max-drop", "1%", "--max-size", "0.5"]
    shown = CliRunner().invoke(main, line)
    assert shown.exit_code == 2
    assert "--max-drop 1%: no accuracy was measured, so it cannot be judged\nhint: give --data with labels" in shown.stderr


def test_models_or_a_report_are_needed(room: Path) -> None:
    for models in ([], ["report.json"]):
        shown = CliRunner().invoke(main, ["gate", *models, "--max-size", "0.5"])
        assert shown.exit_code == 2
        assert "name BEFORE and AFTER, or a report with --report FILE" in shown.stderr


def test_a_stored_verdict_is_judged_anew(room: Path, gate: Gate) -> None:
    from optkit.gate import Limits, judge

    stored = report(TOP1, SPEED, SIZE)
    failed = replace(stored, verdict=judge(stored.comparisons, Limits(max_size=0.1)))
    save_report(failed, room / "report.json")
    assert gate("--max-size", "0.5").exit_code == 0
