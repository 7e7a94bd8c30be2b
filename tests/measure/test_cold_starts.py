"""Fresh processes."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optkit.errors import ModelError
from optkit.measure import _fresh
from optkit.measure._fresh import cold_starts
from optkit.meters import Fresh
from optkit.progress import silent

FEED = {"x": np.ones((2, 4), np.float32)}


@pytest.mark.slow
def test_a_process_says_what_its_start_took(classifier: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fresh, "FEWEST", 1)
    told: list[tuple[str, int, int]] = []
    ((start,),) = cold_starts([classifier().path], [FEED], "cpu", 1, 0.0, lambda *said: told.append(said))
    assert start.load > 0
    assert start.first > 0
    assert start.device_memory is None
    assert told == [("cold starts", 1, _fresh.MOST)]


@pytest.mark.parametrize(("seconds", "count"), [(0.0, _fresh.FEWEST), (60.0, _fresh.MOST)])
def test_models_start_in_turns_now_this_one_first_now_that(
    classifier: Any, monkeypatch: pytest.MonkeyPatch, seconds: float, count: int
) -> None:
    order: list[str] = []

    def start(request: str, model: Path) -> Fresh:
        order.append(model.name)
        return Fresh(1.0, 1.0, 1)

    monkeypatch.setattr(_fresh, "_start", start)
    found = cold_starts([classifier("a.onnx").path, classifier("b.onnx").path], [FEED, FEED], "cpu", 1, seconds, silent)
    assert [len(starts) for starts in found] == [count, count]
    turns = ["".join(name[0] for name in order[i : i + 2]) for i in range(0, len(order), 2)]
    assert turns == [("ab", "ba")[turn % 2] for turn in range(count)]


@pytest.mark.slow
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
