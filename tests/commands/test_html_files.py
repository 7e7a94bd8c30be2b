"""`--html`: written beside what is printed, and anew from a stored report."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper

from optkit.artifact import Artifact, Made
from optkit.cli import main
from optkit.manifest import stamp
from optkit.meters import Fresh


def optkit(*line: str) -> Result:
    return CliRunner().invoke(main, list(line), prog_name="optkit")


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two models, of which the second has a manifest, and data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    # fresh processes take seconds; tests/measure has them
    monkeypatch.setattr("optkit.measure._side_by_side.cold_starts", lambda paths, *_: [[Fresh(0.01, 0.001, 10**6)] * 6 for _ in paths])
    for name in ("before.onnx", "after.onnx"):
        x, y = ([helper.make_tensor_value_info(port, TensorProto.FLOAT, ["n", 4])] for port in "xy")
        graph = helper.make_graph([helper.make_node("Softmax", ["x"], ["y"], name="the_node")], "tiny", x, y)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / name)
    made = Made("some_pass", {"ratio": 0.25}, "a" * 64, None, {"numpy": "2"}, 7, {"found": "nothing"})
    stamp(tmp_path / "after.onnx", Artifact(tmp_path / "before.onnx", "onnx", "a" * 64), (made,))
    np.savez(tmp_path / "data.npz", x=np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32))
    return tmp_path


@pytest.mark.slow
def test_compare_writes_the_page(room: Path) -> None:
    line = (
        "compare",
        "before.onnx",
        "after.onnx",
        "--data",
        "data.npz",
        "--time",
        "0.2s",
        "--layers",
        "--report",
        "r.json",
        "--html",
        "r.html",
    )
    shown = optkit(*line)
    assert shown.exit_code == 0, shown.stderr
    text = (room / "r.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    sections = re.findall(r'<section id="(\w+)"', text)
    assert sections == ["differences", "latency", "footprint", "layers", "times", "lineage", "machine"]
    assert "some_pass" in text  # out of the file's own manifest
    assert "the_node" in text  # among the layers, and among the slowest nodes


@pytest.mark.slow
def test_a_stored_report_is_written_anew_without_limits(room: Path) -> None:
    optkit("compare", "before.onnx", "after.onnx", "--data", "data.npz", "--time", "0.2s", "--report", "r.json", "--html", "r.html")
    again = optkit("gate", "--report", "r.json", "--html", "again.html", "--markdown", "again.md")
    assert again.exit_code == 0, again.stderr
    assert (room / "again.html").read_text(encoding="utf-8") == (room / "r.html").read_text(encoding="utf-8")
    assert (room / "again.md").exists()
    judged = optkit("gate", "--report", "r.json", "--max-size", "0.5", "--html", "judged.html")
    assert judged.exit_code == 1
    assert 'class="banner failed"' in (room / "judged.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_without_limits_and_files_there_is_nothing_to_do(room: Path) -> None:
    optkit("compare", "before.onnx", "after.onnx", "--data", "data.npz", "--time", "0.2s", "--report", "r.json")
    for line in (("--report", "r.json"), ("before.onnx", "after.onnx", "--data", "data.npz", "--html", "r.html")):
        shown = optkit("gate", *line)
        assert shown.exit_code == 2
        assert "there is no limit to hold a model against" in shown.stderr


@pytest.mark.parametrize("target", ["gone/r.html", "before.onnx"])
def test_where_the_page_cannot_go_is_told_before_anything_is_measured(room: Path, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optkit.prove.measure", lambda *_, **__: pytest.fail("it was measured"))
    shown = optkit("compare", "before.onnx", "after.onnx", "--data", "data.npz", "--html", target)
    assert shown.exit_code == 2
    assert target.split("/")[0] in shown.stderr
