"""PyTorch to ONNX, alone, in a recipe and on the command line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from optkit.api import run
from optkit.cli import main

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow

NETS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width=48):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(1, width, 3, stride=2)
        self.drop = nn.Dropout(0.5)
        self.norm = nn.BatchNorm2d(width)
        self.wide = nn.Conv2d(width, width, 3)
        self.head = nn.Linear(width, 5)

    def forward(self, image):
        x = self.drop(self.norm(self.conv(image)).relu())
        return {"logits": self.head(self.wide(x).relu().mean((2, 3)))}

class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(50, 16)
        self.out = nn.Linear(16, 2)

    def forward(self, ids, mask):
        weights = mask.unsqueeze(-1).float()
        return self.out((self.table(ids) * weights).sum(1) / weights.sum(1).clamp(min=1))

class Deaf(nn.Module):
    def forward(self, image):
        return image * torch.rand(1) if self.training else image.sum((1, 2, 3)) * torch.rand(1)

class Branches(nn.Module):
    def forward(self, image):
        return image.mean((1, 2, 3)) if image.sum() > 0 else image.std((1, 2, 3))
"""


@pytest.fixture
def folder(users_module: Callable[[str, str], Path], tmp_path: Path) -> Path:
    users_module("optkit_export_nets", NETS)
    dice = np.random.default_rng(0)
    images = dice.standard_normal((80, 1, 12, 12)).astype(np.float32)
    np.savez(tmp_path / "images.npz", image=images, labels=dice.integers(0, 5, 80))
    ids = dice.integers(0, 50, (20, 7))
    np.savez(tmp_path / "tokens.npz", ids=ids, mask=(dice.random((20, 7)) < 0.8).astype(np.int64))
    return tmp_path


def exported(*words: str) -> tuple[int, str]:
    found = CliRunner().invoke(main, ["export", *words, "-q"])
    return found.exit_code, found.output


def test_a_factory_becomes_onnx_whose_batch_varies(folder: Path) -> None:
    code, said = exported("optkit_export_nets:Net", "--data", "images.npz", "-o", "m.onnx")
    assert (code, said) == (0, "")
    model = onnx.load("m.onnx")
    assert [d.dim_param or d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == ["batch", 1, 12, 12]
    assert [each.name for each in model.graph.output] == ["logits"]
    assert "Dropout" not in {node.op_type for node in model.graph.node}, "it is exported as it is used, not as it is trained"
    assert str(folder) not in (folder / "m.onnx").read_bytes().decode("latin1"), "paths of the user's sources stay at home"


def test_several_inputs_and_sizes_that_vary(folder: Path) -> None:
    wants = ["--input", "ids=int64[batch, length]", "--input", "mask=int64[batch, length]"]
    assert exported("optkit_export_nets:Tokens", *wants, "--data", "tokens.npz", "-o", "t.onnx") == (0, "")
    from optkit.runtimes import open_session

    session = open_session(folder / "t.onnx")
    for batch, length in ((1, 3), (4, 11)):
        feed = {"ids": np.ones((batch, length), np.int64), "mask": np.ones((batch, length), np.int64)}
        assert session.run(feed)["output"].shape == (batch, 2)


@pytest.mark.parametrize(
    ("factory", "says"),
    [("optkit_export_nets:Branches", "PyTorch cannot export it"), ("optkit_export_nets:Deaf", "answers otherwise than PyTorch")],
)
def test_what_cannot_be_exported_leaves_no_file(folder: Path, factory: str, says: str) -> None:
    found = CliRunner().invoke(main, ["export", factory, "--data", "images.npz", "-o", "m.onnx", "-q"])
    assert found.exit_code != 0
    assert says in str(found.output) + str(found.stderr)
    assert not (folder / "m.onnx").exists()


def test_a_recipe_goes_from_pytorch_to_int8_and_compares_both(folder: Path) -> None:
    from optkit_export_nets import Net  # type: ignore[import-not-found]

    torch.save(Net().state_dict(), folder / "trained.pt")
    (folder / "recipe.yaml").write_text(
        "model: {factory: 'optkit_export_nets:Net', weights: trained.pt}\n"
        "data: {calibration: 'images.npz[:40]', evaluation: 'images.npz[40:]'}\n"
        "passes: [export_onnx, quantize_static]\n"
        "measure: {time: 0.3s}\n"
    )
    made = run(folder / "recipe.yaml", output=folder / "out", cache=False)
    assert made.model.path == folder / "out" / "Net.onnx"
    assert [each.name for each in made.report.measurements] == ["Net.safetensors", "Net.onnx"]
    assert [step.by for step in made.model.lineage] == ["export_onnx", "quantize_static"]
    agreement = next(delta for delta in made.report.comparisons[0].deltas if delta.metric == "agreement")
    assert agreement.after > 0.8


def test_weights_that_do_not_fit_into_one_file_lie_beside_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optkit.formats.onnx.LARGEST_FILE", 10_000)
    assert exported("optkit_export_nets:Net", "--data", "images.npz", "-o", "m.onnx") == (0, "")
    assert (folder / "m.onnx.data").stat().st_size > 10_000 > (folder / "m.onnx").stat().st_size
    from optkit.runtimes import open_session

    assert open_session(folder / "m.onnx").run({"image": np.zeros((2, 1, 12, 12), np.float32)})["logits"].shape == (2, 5)
