"""Two ways to run a command line: in this process, and as users do."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result

from optkit.cli import main

from .rooms import CLASSES, INPUTS, Optkit, Room, dense_network


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    folder = tmp_path / "room"
    folder.mkdir()
    monkeypatch.chdir(folder)
    onnx.save(dense_network(), folder / "model.onnx")
    onnx.save(dense_network(), folder / "copy.onnx")
    draw = np.random.default_rng(1)
    x = draw.normal(size=(64, INPUTS)).astype(np.float32)
    np.savez(folder / "data.npz", x=x, labels=draw.integers(0, CLASSES, 64))
    return Room(folder, folder / "model.onnx", folder / "copy.onnx", folder / "data.npz")


@pytest.fixture
def optkit() -> Optkit:
    """`optkit("inspect", "model.onnx")` runs a command line in this process."""

    def run(*line: object) -> Result:
        return CliRunner().invoke(main, [str(word) for word in line], prog_name="optkit")

    return run


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """`start("compare", …)` runs a command line in a process, in a session of its own, with a temporary folder of its own."""
    (tmp_path / "tmp").mkdir()
    children: list[subprocess.Popen[str]] = []

    def run(*line: object, **options: object) -> "subprocess.Popen[str]":
        settings = {**os.environ, "TMPDIR": str(tmp_path / "tmp"), "OPTKIT_CACHE": str(tmp_path / "cache")}
        given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": settings, "start_new_session": True, "text": True, **options}
        command = [sys.executable, "-m", "optkit", *map(str, line)]
        children.append(subprocess.Popen(command, **given))  # type: ignore[call-overload]
        return children[-1]

    yield run
    for child in children:  # where a test failed before its end
        with child:
            child.kill()
