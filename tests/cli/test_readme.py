"""What the README shows, done as it stands there, on a sample model."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "sample_models" / "fashion_cnn"


@pytest.fixture
def room(tmp_path: Path) -> Path:
    for name in ("model.onnx", "calibration.npz", "evaluation.npz"):
        shutil.copy(SAMPLE / name, tmp_path)
    return tmp_path


def block(language: str) -> str:
    found, *_ = re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.mark.slow
def test_the_python_example_works(room: Path) -> None:
    done = subprocess.run([sys.executable, "-c", block("python")], cwd=room, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    shown = {line.split()[0] for line in done.stdout.splitlines()}
    assert {"top1", "latency_median", "size"} <= shown
    assert (room / "model.int8.onnx").stat().st_size < (room / "model.onnx").stat().st_size


@pytest.mark.slow
def test_the_recipe_runs(room: Path) -> None:
    (room / "recipe.yaml").write_text(block("yaml"))
    line = [sys.executable, "-m", "optkit", "run", "recipe.yaml", "--set", "measure.time=2s"]
    done = subprocess.run(line, cwd=room, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr  # a limit may break on a machine without integer instructions
    assert "top1" in done.stdout
