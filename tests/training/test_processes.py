"""Real processes: one that is killed and goes on, and two that train together."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow

SCRIPT = """
import sys, time
from dataclasses import dataclass
from pathlib import Path
import numpy as np, torch
from optkit.datasets import Examples
from optkit.training import TrainingParameters, loop, train
from optkit.training.losses import label_loss

@dataclass
class Job:
    kept: Path | None
    device: str = "cpu"
    seed: int = 0
    def progress(self, *said): pass

def main(kept, result, pause, norm):
    loop.KEPT_EVERY = -1.0
    dice = np.random.default_rng(0)
    x = dice.standard_normal((120, 6)).astype(np.float32)
    data = Examples("made", {"x": x}, (x @ dice.standard_normal((6, 3))).argmax(1))
    torch.manual_seed(int(__import__("os").environ.get("RANK", "0")))
    inner = [torch.nn.BatchNorm1d(16), torch.nn.ReLU(), torch.nn.Dropout(0.2)] if norm else [torch.nn.ReLU()]
    net = torch.nn.Sequential(torch.nn.Linear(6, 16), *inner, torch.nn.Linear(16, 3))
    how = TrainingParameters(epochs=4, batch_size=30, learning_rate=0.02, training_threads=1)
    def after(step, steps):
        print("step", step, flush=True)
        time.sleep(pause)
    told = train(net, label_loss(None, None), data, how, Job(Path(kept) if kept else None), after_step=after)
    rank = __import__("os").environ.get("RANK", "0")
    torch.save({"net": net.state_dict(), "resumed": told.resumed_at, "processes": told.processes,
                "losses": [each.loss for each in told.epochs]}, f"{result}.{rank}")

if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4] == "norm")
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(SCRIPT)
    return tmp_path / "train.py"


def result(path: Path, rank: int = 0) -> Any:
    return torch.load(f"{path}.{rank}", weights_only=True)


def test_a_killed_training_goes_on_and_ends_with_the_same_bits(script: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(script)]
    subprocess.run([*command, "", str(tmp_path / "whole"), "0", "norm"], check=True, stdout=subprocess.DEVNULL)
    kept = tmp_path / "kept"
    with subprocess.Popen([*command, str(kept), str(tmp_path / "half"), "0.2", "norm"], stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        for line in victim.stdout:
            if line == "step 6\n":
                break
        deadline = time.monotonic() + 60
        while not (kept / "training.pt").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        victim.send_signal(signal.SIGKILL)
    assert not (tmp_path / "half.0").exists()
    subprocess.run([*command, str(kept), str(tmp_path / "half"), "0", "norm"], check=True, stdout=subprocess.DEVNULL)
    whole, half = result(tmp_path / "whole"), result(tmp_path / "half")
    assert half["resumed"] in (1, 2, 3)
    assert half["losses"] == whole["losses"]
    assert all(torch.equal(half["net"][name], tensor) for name, tensor in whole["net"].items())
    assert not kept.exists()


@pytest.mark.parametrize("kind", ["norm", "plain"])
def test_two_processes_train_one_module(script: Path, tmp_path: Path, kind: str) -> None:
    pytest.importorskip("accelerate")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launch, str(script), "", str(tmp_path / "two"), "0", kind],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert "autograd" not in done.stderr
    first, second = (result(tmp_path / "two", rank) for rank in (0, 1))
    assert first["processes"] == second["processes"] == 2
    assert all(torch.equal(second["net"][name], tensor) for name, tensor in first["net"].items()), "both hold one module"
    if kind == "plain":  # batch normalization and dropout see the parts of a batch apart
        subprocess.run([sys.executable, str(script), "", str(tmp_path / "one"), "0", kind], check=True, stdout=subprocess.DEVNULL)
        alone = result(tmp_path / "one")
        assert first["losses"][1:] == pytest.approx(alone["losses"][1:], rel=1e-3)
        for name, tensor in alone["net"].items():
            torch.testing.assert_close(first["net"][name], tensor, rtol=1e-2, atol=1e-4)
