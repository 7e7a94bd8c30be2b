"""What a fresh process does, done in this one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optkit.runtimes._fresh import main
from optkit.runtimes.processes import REFUSED, store_feeds


@pytest.fixture
def request_for(classifier_file: Path, build: Any, tmp_path: Path) -> Any:
    from onnx import TensorProto, helper

    warm = tmp_path / "warm.onnx"
    ports = [("x", TensorProto.FLOAT, [1])], [("y", TensorProto.FLOAT, [1])]
    warm.write_bytes(build([helper.make_node("Abs", ["x"], ["y"])], *ports))

    def make(**feed: Any) -> str:
        store_feeds(tmp_path / "feed.npz", [feed])
        return json.dumps(
            {"model": str(classifier_file), "warm": str(warm), "device": "cpu", "threads": 1, "feed": str(tmp_path / "feed.npz")}
        )

    return make


def test_it_says_what_a_cold_start_took(request_for: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(request_for(x=np.zeros((1, 4), np.float32))) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["load"] > 0
    assert said["first"] > 0
    assert said["memory"] >= 0
    assert said["device_memory"] is None


def test_an_error_of_the_user_is_handed_on(request_for: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(request_for(wrong=np.zeros((1, 4), np.float32))) == REFUSED
    said = json.loads(capsys.readouterr().err)
    assert said["what"] == "input 'x' is missing; given: wrong"
    assert said["where"].endswith("classifier.onnx")
