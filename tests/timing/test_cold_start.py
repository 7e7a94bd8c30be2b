"""What a fresh process does, done in this one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from optkit.timing.cold_start import main
from optkit.timing.processes import REFUSED, store_feeds


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
