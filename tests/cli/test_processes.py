"""What happens around a command, in a process of its own: interrupts, full and forbidden disks, closed pipes, terminals."""

import ctypes
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from .rooms import Optkit, Room, dense_network, read_terminal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals, limits and terminals of POSIX")

Start = Callable[..., "subprocess.Popen[str]"]

SLOW_DATA = """
import pathlib, time
import numpy as np
def examples():
    # asked for when all libraries are loaded and work begins
    pathlib.Path("begun").touch()
    return {"x": np.random.default_rng(0).normal(size=(2000, 64)).astype(np.float32), "labels": np.zeros(2000, int)}
"""

RECIPE = "model: model.onnx\ndata: 'slow:examples'\npasses:\n  - quantize\nmeasure: {time: 60s}\n"

LONG_WORK = {
    "quantize": ["quantize", "model.onnx", "--int8", "--data", "slow:examples"],
    "compare": [
        "compare",
        "model.onnx",
        "copy.onnx",
        "--data",
        "slow:examples",
        "--time",
        "60s",
        "--report",
        "r.json",
        "--markdown",
        "r.md",
    ],
    "gate": ["gate", "model.onnx", "copy.onnx", "--data", "slow:examples", "--time", "60s", "--max-drop", "1%", "--junit", "gate.xml"],
    "run": ["run", "recipe.yaml", "-o", "made"],
}


REPORTS = {"compare": {"room/r.json", "room/r.md"}, "gate": {"room/gate.xml"}}
"""What those write that compare, and are stopped with Ctrl-C, once they have something to tell."""


@pytest.fixture
def busy(room: Room) -> Room:
    (room.path / "slow.py").write_text(SLOW_DATA)
    (room.path / "recipe.yaml").write_text(RECIPE)
    (room.path / "begun").touch()
    return room


def left_behind(room: Room) -> set[str]:
    """Files that are new in the folder and in the temporary folder; Python's own cache of `slow.py` aside."""
    ours = {"model.onnx", "copy.onnx", "data.npz", "slow.py", "recipe.yaml", "begun", "__pycache__"}
    return {str(file.relative_to(room.path.parent)) for file in room.path.iterdir() if file.name not in ours} | {
        str(file.relative_to(room.path.parent)) for file in (room.path.parent / "tmp").rglob("*")
    }


SIGNALS = {signal.SIGINT: (130, "interrupted\n"), signal.SIGTERM: (143, "")}
STOPS = [("quantize", signal.SIGINT), *(pytest.param(c, s, marks=pytest.mark.slow) for c in LONG_WORK for s in SIGNALS)]


@pytest.mark.slow
@pytest.mark.parametrize(("command", "number"), STOPS)
def test_stopping_leaves_nothing_behind(command: str, number: signal.Signals, busy: Room, start: Start) -> None:
    (busy.path / "begun").unlink()
    child = start(*LONG_WORK[command])
    while not (busy.path / "begun").exists():
        assert child.poll() is None, child.communicate()
        time.sleep(0.01)
    time.sleep(0.2)
    os.killpg(child.pid, number)  # as a terminal does: to children of ours too
    out, error = child.communicate(timeout=60)
    if number == signal.SIGINT and out:  # something was scored by then
        assert (child.returncode, error) == (130, "interrupted: the report holds what was measured by then\n")
        assert "it was interrupted" in out
        assert left_behind(busy) == REPORTS[command]
    else:
        assert (child.returncode, error, out) == (*SIGNALS[number], "")
        assert left_behind(busy) == set()


@pytest.mark.slow
def test_a_disk_that_fills_up_is_told_and_leaves_nothing_behind(busy: Room, start: Start) -> None:
    import resource

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))

    child = start("quantize", "model.onnx", "--int8", "--data", "data.npz", "--accept-size-only", preexec_fn=limited)
    out, error = child.communicate(timeout=120)
    assert (child.returncode, out) == (2, "")
    what, hint = error.splitlines()
    assert "disk is full" in what
    assert hint.startswith("hint: ")
    assert left_behind(busy) == set()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("line", [["--help"], pytest.param(["inspect", "model.onnx"], marks=pytest.mark.slow)], ids=" ".join)
def test_output_that_cannot_be_written_is_told(line: list[str], room: Room, start: Start) -> None:
    with open("/dev/full", "w") as full:
        child = start(*line, stdout=full)
        _, error = child.communicate(timeout=60)
    assert child.returncode == 2
    assert error.startswith("output: the disk is full")


def read_only_even_for_root() -> None:
    """Give up what lets root write where it may not: CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""
    if os.geteuid() == 0 and sys.platform == "linux":
        for capability in (1, 2):
            ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(["quantize", "model.onnx", "--int8", "--data", "data.npz", "-o", "locked/made.onnx"], marks=pytest.mark.slow),
        ["compare", "model.onnx", "copy.onnx", "--data", "data.npz", "--markdown", "locked/r.md"],
        pytest.param(["run", "recipe.yaml", "-o", "locked/made"], marks=pytest.mark.slow),
        pytest.param(["init", "model.onnx", "-o", "locked/recipe.yaml"], marks=pytest.mark.slow),
    ],
    ids=lambda line: str(line[0]),
)
def test_a_folder_that_may_not_be_written_is_told(line: list[str], busy: Room, start: Start) -> None:
    locked = busy.path / "locked"
    locked.mkdir()
    locked.chmod(stat.S_IRUSR | stat.S_IXUSR)
    probe = [sys.executable, "-c", "import os; print(os.access('locked', os.W_OK))"]
    if subprocess.run(probe, preexec_fn=read_only_even_for_root, capture_output=True, text=True, check=True).stdout == "True\n":
        pytest.skip("this user may write everywhere")
    child = start(*line, preexec_fn=read_only_even_for_root)
    out, error = child.communicate(timeout=60)
    assert (child.returncode, out) == (2, "")
    what, hint = error.splitlines()
    assert "locked" in what
    assert hint.startswith("hint: ")
    assert list(locked.iterdir()) == []


@pytest.mark.slow
def test_a_model_that_may_not_be_read_is_told(room: Room, start: Start) -> None:
    room.model.chmod(0)
    child = start("inspect", "model.onnx", preexec_fn=read_only_even_for_root)
    _, error = child.communicate(timeout=60)
    if child.returncode == 0:
        pytest.skip("this user may read everything")
    assert child.returncode == 2
    assert error.startswith("model.onnx: ")
    assert "ermission" in error


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_error(room: Room, start: Start) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    child = start("inspect", "model.onnx", "--json", stdout=writing)
    os.close(writing)
    _, error = child.communicate(timeout=60)
    assert (child.returncode, error) == (141, "")


COLOUR = re.compile(r"\x1b\[(?:[\d;]*;)?(?:3|4|9|10)[0-9][;m]")
"""Codes that set a colour; bold and dim are none."""


def at_a_terminal(start: Start, *line: str, **environment: str) -> str:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    child = start(*line, stdout=theirs, env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **environment})
    os.close(theirs)
    seen = read_terminal(ours)
    _, error = child.communicate(timeout=60)
    assert (child.returncode, error) == (0, "")
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("line", [["passes"], ["inspect", "model.onnx"], ["gate", "--report", "r.json", "--max-size", "0.5"]], ids=" ".join)
def test_colour_is_declined_with_no_color(line: list[str], room: Room, optkit: Optkit, start: Start) -> None:
    if line[0] == "gate":
        onnx.save(dense_network(hidden=64), "small.onnx")
        assert optkit("compare", "model.onnx", "small.onnx", "--data", "data.npz", "--time", "0.2s", "--report", "r.json").exit_code == 0
        assert COLOUR.search(at_a_terminal(start, *line))
    assert not COLOUR.search(at_a_terminal(start, *line, NO_COLOR="1"))


@pytest.mark.parametrize("line", [["inspect", "model.onnx"], ["passes"], ["doctor"], ["recipes"]], ids=" ".join)
def test_json_is_json_and_nothing_else(line: list[str], room: Room, optkit: Optkit) -> None:
    ended = optkit(*line, "--json")
    assert (ended.exit_code, ended.stderr) == (0, "")
    json.loads(ended.stdout)


@pytest.mark.slow
def test_the_same_line_gives_the_same_bytes(room: Room, optkit: Optkit) -> None:
    line = ["quantize", "model.onnx", "--int8", "--data", "data.npz", "--accept-size-only", "--no-cache", "-o"]
    assert optkit(*line, "one.onnx").exit_code == 0
    assert optkit(*line, "two.onnx").exit_code == 0
    assert (room.path / "one.onnx").read_bytes() == (room.path / "two.onnx").read_bytes()
