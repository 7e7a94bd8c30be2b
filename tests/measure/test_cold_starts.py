"""Fresh processes."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from optkit.errors import ModelError
from optkit.measure import _fresh, silent
from optkit.measure._fresh import cold_starts

FEED = {"x": np.ones((2, 4), np.float32)}


def test_each_model_is_started_in_turns(classifier: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fresh, "FEWEST", 1)
    told: list[tuple[str, int, int]] = []
    models = [classifier("a.onnx").path, classifier("b.onnx").path]
    found = cold_starts(models, [FEED, FEED], "cpu", 1, 0.0, lambda *said: told.append(said))
    assert [len(starts) for starts in found] == [1, 1]
    for start in (found[0][0], found[1][0]):
        assert start.load > 0
        assert start.first > 0
        assert start.device_memory is None
    assert told == [("cold starts", 1, _fresh.MOST)]


def test_an_error_in_the_process_is_told_here(classifier: Any) -> None:
    model = classifier().path
    with pytest.raises(ModelError) as caught:
        cold_starts([model], [{"wrong": FEED["x"]}], "cpu", 1, 0.0, silent)
    assert str(caught.value).startswith(f"{model}: input 'x' is missing; given: wrong\nhint: ")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "was ended by signal 9"),
        ("raise SystemExit(7)", "ended with exit code 7"),
    ],
)
def test_a_process_that_dies_is_told(classifier: Any, monkeypatch: pytest.MonkeyPatch, code: str, says: str) -> None:
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda _, **rest: run([sys.executable, "-c", code], **rest))
    with pytest.raises(ModelError, match=says):
        cold_starts([classifier().path], [FEED], "cpu", 1, 0.0, silent)


def test_text_needs_no_pickle(classifier: Any, tmp_path: Any) -> None:
    feed = {"words": np.array(["a", "longer"], object)}
    _fresh._requests(tmp_path, [classifier().path], [feed], "cpu", 1)
    with np.load(tmp_path / "feed0.npz") as stored:
        assert stored["words"].tolist() == ["a", "longer"]
