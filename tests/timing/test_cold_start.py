"""What a fresh process does, done in this one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from optkit.runtimes.onnxruntime import open_onnx
from optkit.timing import cold_start, device_time
from optkit.timing.cold_start import main
from optkit.timing.processes import REFUSED, store_feeds

from ..runtimes.test_cuda_driver import StandIn, compiled, driver, needs_compiler

__all__ = ["compiled", "driver"]


def save(path: Path, operator: str, *shape: int | str) -> Path:
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"])], "tiny", ports[:1], ports[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def request_for(tmp_path: Path) -> Callable[..., str]:
    cold, warm = save(tmp_path / "classifier.onnx", "Softmax", "n", 4), save(tmp_path / "warm.onnx", "Abs", 1)

    def make(**feed: Any) -> str:
        store_feeds(tmp_path / "feed.npz", [feed])
        return json.dumps({"model": str(cold), "warm": str(warm), "device": "cpu", "threads": 1, "feed": str(tmp_path / "feed.npz")})

    return make


def test_it_says_what_a_cold_start_took(request_for: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(request_for(x=np.zeros((1, 4), np.float32))) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["load"] > 0
    assert said["first"] > 0
    assert said["memory"] >= 0
    assert said["device_memory"] is None


def test_an_error_of_the_user_is_handed_on(request_for: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(request_for(wrong=np.zeros((1, 4), np.float32))) == REFUSED
    said = json.loads(capsys.readouterr().err)
    assert said["what"] == "input 'x' is missing; given: wrong"
    assert said["where"].endswith("classifier.onnx")


@needs_compiler
def test_a_device_is_timed_in_the_session_that_was_opened(
    request_for: Callable[..., str], capsys: pytest.CaptureFixture[str], driver: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CPU stands for the device, and a library for its driver."""
    streams: list[int] = []

    def open_and_tell(model: Any, *where: Any, **how: Any) -> Any:
        streams.append(how.get("stream", 0))
        return open_onnx(model, *where, **how)

    monkeypatch.setattr(device_time, "WARM_UP", 0.0)
    monkeypatch.setattr(cold_start, "_load_libraries", lambda *_: 1)
    monkeypatch.setattr(cold_start, "open_onnx", open_and_tell)
    assert main(request_for(x=np.zeros((1, 4), np.float32))) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["device_time"], said["device_memory"]) == (0.0125, 0)
    assert streams == [0x7F00000000002222], "once, in the stream in which it is timed"
    assert driver.told.count("end stream(stream)") == 1


def test_without_a_driver_there_is_no_device_time(
    request_for: Callable[..., str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cold_start, "_load_libraries", lambda *_: 1)
    monkeypatch.setattr("optkit.runtimes.cuda_driver.LIBRARY", "libthereisnone.so.1")
    assert main(request_for(x=np.zeros((1, 4), np.float32))) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["load"] > 0
    assert said.get("device_time") is None
