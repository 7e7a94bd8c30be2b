"""`optkit prune` and `optkit compare --factory`: a PyTorch file and what came of it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from optkit.cli import main
from optkit.formats.torch_origin import Origin, TensorInput, trusting

torch = pytest.importorskip("torch")
pytest.importorskip("torch_pruning")
pytestmark = pytest.mark.slow

NETS = """
import torch
from torch import nn

def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(12, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))
"""
FACTORY = "optkit_command_nets:net"


@pytest.fixture
def folder(users_module: Callable[[str, str], Path], tmp_path: Path) -> Path:
    users_module("optkit_command_nets", NETS)
    from optkit_command_nets import net  # type: ignore[import-not-found]

    from optkit.formats.torch import TorchModel, save_torch

    with trusting(FACTORY):
        save_torch(TorchModel(net(), Origin(FACTORY, inputs=(TensorInput("input", "float32", ("batch", 12)),))), tmp_path / "m.safetensors")
    dice = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", input=dice.standard_normal((60, 12)).astype(np.float32), labels=dice.integers(0, 3, 60))
    return tmp_path


def said_by(*words: str) -> tuple[int, str]:
    found = CliRunner().invoke(main, [*words])
    return found.exit_code, " ".join((found.output + found.stderr).split())


def test_a_pytorch_file_is_pruned_and_compared_with_its_original(folder: Path) -> None:
    code, said = said_by("prune", "m.safetensors", "--data", "data.npz", "--factory", FACTORY, "--no-cache")
    assert code == 0, said
    assert "time" in said
    assert "MACs" in said
    assert (folder / "m.pruned.safetensors").is_file()
    asked = ("compare", "m.safetensors", "m.pruned.safetensors", "--data", "data.npz", "--time", "0.2s")
    code, said = said_by(*asked)
    assert (code, f"--factory {FACTORY}" in said) == (2, True), "a file alone runs no code, and the hint says what does"
    code, said = said_by(*asked, "--factory", FACTORY)
    assert code == 0, said
    assert "m.pruned.safetensors" in said


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, about itself
@pytest.mark.skipif(shutil.which("g++") is None and shutil.which("clang++") is None, reason="torch.compile needs a C++ compiler")
def test_a_pytorch_file_stands_beside_itself_compiled(folder: Path) -> None:
    from optkit.compare import compare_all
    from optkit.datasets import read_examples
    from optkit.formats import read_artifact
    from optkit.formats.torch_compiled import with_compiled
    from optkit.measure import Settings, measure
    from optkit.runtimes import Port

    examples = read_examples("data.npz", [Port("input", "float32", ("batch", 12))])
    with trusting(FACTORY), with_compiled([read_artifact(folder / "m.safetensors")], True) as models:
        measured = measure(models, examples, Settings(seconds=0.1, meters=("latency",)))
    assert [each.name for each in measured] == ["m.safetensors", "m, compiled"]
    (found,) = compare_all(measured)
    assert {delta.metric: delta.after for delta in found.deltas}["agreement"] == 1
    assert not any("same file" in warned.what for warned in found.warnings), "they run otherwise"
