import sys
from pathlib import Path

import pytest
from side_by_side.making import TOOLS, settings_of
from side_by_side.processes import TIMED_OUT, last_words, measured


def test_a_command_is_measured(tmp_path: Path) -> None:
    cost = measured([sys.executable, "-c", "x = bytearray(60_000_000); x[::4096] = x[::4096]"], tmp_path / "log", limit=60)
    assert cost.code == 0
    assert cost.why == ""
    assert 60_000_000 < cost.peak < 200_000_000
    assert cost.cpu > 0


def test_a_failure_says_why(tmp_path: Path) -> None:
    cost = measured([sys.executable, "-c", "raise KeyError('HardSigmoid')"], tmp_path / "log", limit=60)
    assert cost.code == 1
    assert cost.why == "KeyError: 'HardSigmoid'"


@pytest.mark.slow
def test_what_takes_too_long_is_ended(tmp_path: Path) -> None:
    cost = measured([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log", limit=0.5)
    assert cost.code is None
    assert cost.why == TIMED_OUT


def test_an_error_that_only_passes_another_on_is_not_the_reason() -> None:
    text = "ModuleNotFoundError: No module named 'requests'\nsubprocess.CalledProcessError: Command 'x' returned non-zero exit status 1."
    assert last_words(text) == "ModuleNotFoundError: No module named 'requests'"
    assert last_words("m.onnx: it is quantized already\nhint: take the float model\n") == "m.onnx: it is quantized already"
    assert last_words("") == "no word of why"


@pytest.mark.slow
@pytest.mark.parametrize("tool", sorted(file.stem for file in TOOLS.glob("*.py")))
def test_every_peer_offers_settings_without_its_library(tool: str) -> None:
    assert settings_of(tool)
