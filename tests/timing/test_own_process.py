"""A model timed in a process of its own."""

import os
from pathlib import Path

import numpy as np
import onnx
import psutil
import pytest
from onnx import helper

from optkit.errors import ModelError
from optkit.timing.own_process import OwnProcess
from optkit.timing.processes import failed, store_feeds, stored_feeds
from optkit.timing.rounds import FEWEST_ROUNDS, time_rounds


def model(path: Path, rows: int = 64) -> Path:
    weight = helper.make_tensor("w", onnx.TensorProto.FLOAT, [rows, rows], np.eye(rows, dtype=np.float32).ravel())
    ports = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", rows]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", ports[:1], ports[1:], [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


FEEDS = [{"x": np.full((1, 64), i, np.float32)} for i in range(3)]


def test_it_runs_elsewhere_and_is_gone_afterwards(tmp_path: Path) -> None:
    lane = OwnProcess(model(tmp_path / "m.onnx"), FEEDS, "cpu", 1)
    assert lane.number != os.getpid()
    assert 0 < lane.open() < 1
    assert lane.feeds == len(FEEDS)
    times = lane.block(2, 5)
    assert times.shape == (5,)
    assert (times > 0).all()
    number = lane.number
    lane.end()
    assert not psutil.pid_exists(number)


@pytest.mark.slow
def test_rounds_over_two_processes(tmp_path: Path) -> None:
    path = model(tmp_path / "m.onnx")
    times = time_rounds([OwnProcess(path, FEEDS, "cpu", 1) for _ in range(2)], seconds=0.1)
    assert len(times[0]) == len(times[1]) >= FEWEST_ROUNDS


@pytest.mark.slow
def test_what_the_model_says_there_is_said_here(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"no model")
    lane = OwnProcess(tmp_path / "m.onnx", FEEDS, "cpu", 1)
    with pytest.raises(ModelError, match="ONNX Runtime cannot load it"):
        lane.open()
    lane.end()


@pytest.mark.slow
def test_a_process_that_is_killed_is_an_error_of_the_model(tmp_path: Path) -> None:
    lane = OwnProcess(model(tmp_path / "m.onnx"), FEEDS, "cpu", 1)
    lane.open()
    psutil.Process(lane.number).kill()
    lane._process.wait()
    with pytest.raises(ModelError, match="ended by signal 9"):
        lane.block(0, 1)
    lane.end()


def test_feeds_come_back_as_they_were(tmp_path: Path) -> None:
    feeds = [{"a/b": np.arange(3), "text": np.array(["ä", "bc"], dtype=object)}, {"a/b": np.zeros((2, 0)), "text": np.array(["x"], object)}]
    store_feeds(tmp_path / "f.npz", feeds)
    found = stored_feeds(tmp_path / "f.npz")
    assert len(found) == 2
    for before, after in zip(feeds, found, strict=True):
        assert before.keys() == after.keys()
        for name in before:
            assert before[name].tolist() == after[name].tolist()


@pytest.mark.parametrize(
    ("code", "said", "what", "hint"),
    [
        (2, '{"what": "no", "where": "here", "hint": "do"}', "no", "do"),
        (-9, "", "a fresh process that ran it was ended by signal 9", "is there enough memory?"),
        (1, "first\nTypeError: last", "a fresh process that ran it ended with exit code 1", "TypeError: last"),
    ],
)
def test_how_a_process_failed_is_told(code: int, said: str, what: str, hint: str) -> None:
    error = failed(code, said, Path("m.onnx"))
    assert (error.what, error.hint) == (what, hint)
