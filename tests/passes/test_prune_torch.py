"""Pruned PyTorch models: stored, loaded, trained on, exported; zeros stay zeros."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optkit.artifact import Artifact
from optkit.datasets import Examples
from optkit.errors import DataError, UsageError
from optkit.formats import read_artifact
from optkit.formats.torch_origin import Origin, TensorInput, trusting
from optkit.optimize import optimize
from optkit.recipe.reading import make_pass

torch = pytest.importorskip("torch")
pytest.importorskip("torch_pruning")

from optkit.formats.torch import TorchModel, load_torch, save_torch  # noqa: E402
from optkit.pruning.torch_weights import hold_zeros, weights_of  # noqa: E402
from optkit.runtimes import open_session  # noqa: E402

NETS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.norm = nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width)
        self.deep = nn.Conv2d(width, 2 * width, 3, stride=2)
        self.head = nn.Linear(2 * width, 3)

    def forward(self, image):
        x = torch.relu(self.norm(self.stem(image)))
        return self.head(torch.relu(self.deep(x)).mean((2, 3)))
"""
FACTORY = "optkit_pass_nets:Net"


@pytest.fixture
def source(users_module: Callable[[str, str], Path], tmp_path: Path) -> Artifact:
    torch.set_num_threads(1)
    users_module("optkit_pass_nets", NETS)
    from optkit_pass_nets import Net  # type: ignore[import-not-found]

    with trusting(FACTORY):
        save_torch(
            TorchModel(Net().eval(), Origin(FACTORY, inputs=(TensorInput("image", "float32", ("batch", 1, 8, 8)),))),
            tmp_path / "m.safetensors",
        )
    return read_artifact(tmp_path / "m.safetensors")


def examples(count: int = 60) -> Examples:
    dice = np.random.default_rng(0)
    labels = dice.integers(0, 3, count)
    images = dice.standard_normal((count, 1, 8, 8)) * 0.3 + labels[:, None, None, None]
    return Examples("made", {"image": images.astype(np.float32)}, labels)


def pruned(source: Artifact, word: str, target: str = "p.safetensors", data: Examples | None = None, **parameters: Any) -> Artifact:
    given = {"training": data} if data is not None else {}
    with trusting(FACTORY):
        return optimize(source, [make_pass(word, parameters)], target=Path(target), examples=given)


def weights(path: Path) -> dict[str, Any]:
    with trusting(FACTORY):
        return weights_of(load_torch(path).module)


@pytest.mark.slow
def test_a_pruned_model_is_stored_trained_on_and_exported(source: Artifact) -> None:
    made = pruned(source, "prune_channels", ratio=0.4, data=examples(), importance="taylor")
    notes = made.lineage[-1].notes
    assert notes["parameters"][1] < notes["parameters"][0]
    assert notes["macs"][1] < notes["macs"][0]
    assert len(notes["measured_ratio"]) == 3
    with trusting(FACTORY):
        model = load_torch(made.path)
        assert model.module.stem.out_channels == model.module.norm.num_features == model.module.deep.in_channels == 8
        optimizer = torch.optim.SGD(model.module.train().parameters(), 0.1)
        data = examples()
        before = model.module.deep.weight.detach().clone()
        loss = torch.nn.functional.cross_entropy(model.module(torch.from_numpy(data.arrays["image"])), torch.from_numpy(data.labels))
        loss.backward()
        optimizer.step()
        assert not torch.equal(before, model.module.deep.weight)
        save_torch(TorchModel(model.module.eval(), model.origin), Path("trained.safetensors"))
        exported = optimize(read_artifact(Path("trained.safetensors")), [make_pass("export_onnx", {})], target=Path("t.onnx"))
        feed = {"image": data.arrays["image"][:5]}
        wanted, found = open_session(Path("trained.safetensors")).run(feed), open_session(exported.path).run(feed)
    np.testing.assert_allclose(np.asarray(found["output"], np.float32), np.asarray(wanted["output"], np.float32), rtol=1e-3, atol=1e-5)


def test_zeros_are_where_the_smallest_were_and_the_rest_stays(source: Artifact) -> None:
    before, after = weights(source.path), weights(pruned(source, "prune_weights", sparsity=0.7, exclude=["head"]).path)
    everything = np.concatenate([np.abs(before[name]).ravel() for name in ("stem", "deep")])
    border = np.sort(everything)[round(everything.size * 0.7)]
    for name in ("stem", "deep"):
        np.testing.assert_array_equal(after[name], np.where(np.abs(before[name]) < border, 0, before[name]))
    np.testing.assert_array_equal(after["head"], before["head"])


def test_two_of_four_and_what_has_no_fours(source: Artifact) -> None:
    made = pruned(source, "prune_two_four")
    found = weights(made.path)
    assert (np.count_nonzero(found["deep"].reshape(32, 4, 4, 3, 3), axis=2) == 2).all()
    assert (np.count_nonzero(found["head"].reshape(3, 8, 4), axis=2) == 2).all()
    assert np.count_nonzero(found["stem"]) == found["stem"].size
    notes = made.lineage[-1].notes
    assert notes["left whole"] == {"stem": "1 inputs, no multiple of 4"}
    assert "no faster" in notes["remarks"][0]
    before, after = notes["measured_compressed"]
    assert after < 0.8 * before


def test_a_training_that_follows_keeps_the_zeros(source: Artifact) -> None:
    made = pruned(source, "prune_two_four")
    tuned = pruned(made, "finetune", "t.safetensors", examples(), epochs=3, learning_rate=0.01, training_threads=1)
    before, after = weights(made.path), weights(tuned.path)
    assert any((after[name] != before[name]).any() for name in before), "it learned"
    for name in ("deep", "head"):
        np.testing.assert_array_equal(after[name] == 0, before[name] == 0)


def test_zeros_of_named_layers_are_held() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
    with torch.no_grad():
        module[0].weight[0] = 0
        module[1].weight[0] = 0
        keep = hold_zeros(module, ["1"])
        module[0].weight.add_(1)
        module[1].weight.add_(1)
    keep()
    assert (module[0].weight != 0).all()
    assert (module[1].weight[0] == 0).all()
    assert (module[1].weight[1:] != 0).all()


def test_a_layer_that_starts_as_the_identity_learns_however_other_layers_were_pruned(source: Artifact) -> None:
    with trusting(FACTORY):
        model = load_torch(source.path)
        with torch.no_grad():
            model.module.deep.weight.zero_()
            model.module.deep.weight[:16, :, 1, 1] = torch.eye(16)
        save_torch(model, Path("identity.safetensors"))
    made = pruned(read_artifact(Path("identity.safetensors")), "prune_weights", sparsity=0.5, scope="layer", exclude=["deep"])
    tuned = pruned(made, "finetune", "t.safetensors", examples(), epochs=2, learning_rate=0.01, training_threads=1)
    before, after = weights(made.path), weights(tuned.path)
    assert (before["deep"] == 0).mean() > 0.9
    assert (after["deep"] == 0).mean() < 0.4, "channels that no example reaches stay"
    for name in ("stem", "head"):
        np.testing.assert_array_equal(after[name] == 0, before[name] == 0)


def test_gradual_pruning_frees_what_was_zero_by_chance_and_finds_functions_beside_the_recipe(source: Artifact, tmp_path: Path) -> None:
    beside = tmp_path / "elsewhere"
    beside.mkdir()
    (beside / "optkit_loss_beside.py").write_text(
        "import torch\ndef own(outputs, labels):\n    return torch.nn.functional.cross_entropy(outputs['output'], labels)\n"
    )
    with trusting(FACTORY):
        model = load_torch(source.path)
        with torch.no_grad():
            model.module.deep.weight[:, :8] = 0
        save_torch(model, Path("half.safetensors"))
    how = {"epochs": 2, "training_threads": 1, "learning_rate": 0.01, "loss": "optkit_loss_beside:own"}
    wish: dict[str, Any] = {"sparsity": 0.3, "scope": "layer", "gradual": how}
    with pytest.raises(UsageError, match="optkit_loss_beside"):
        pruned(read_artifact(Path("half.safetensors")), "prune_weights", data=examples(), **wish)
    with trusting(FACTORY, folder=str(beside)):
        made = pruned(read_artifact(Path("half.safetensors")), "prune_weights", data=examples(), **wish)
        tuned = pruned(made, "finetune", "t.safetensors", examples(), epochs=1, learning_rate=0.01, training_threads=1)
    before, after = weights(made.path), weights(tuned.path)
    assert (before["deep"] == 0).mean() == pytest.approx(0.3, abs=0.01), "of the half that was 0 some became more"
    for name in before:
        np.testing.assert_array_equal(after[name] == 0, before[name] == 0)


def test_weights_go_gradually_while_it_trains(source: Artifact) -> None:
    made = pruned(source, "prune_weights", data=examples(), sparsity=0.8, gradual={"epochs": 4, "until": 0.5, "training_threads": 1})
    found = weights(made.path)
    zeros, total = (sum(int(count(each)) for each in found.values()) for count in (lambda x: (x == 0).sum(), np.size))
    assert zeros == round(total * 0.8)
    assert made.lineage[-1].notes["best epoch"] >= 2, "earlier ones were not sparse enough yet"
    with pytest.raises(DataError, match="there are no training examples"):
        pruned(source, "prune_weights", "q.safetensors", gradual={"epochs": 1})


def test_taylor_needs_labels(source: Artifact) -> None:
    with pytest.raises(DataError, match="taylor needs labelled examples"):
        pruned(source, "prune_channels", importance="taylor")


@pytest.mark.parametrize("wishes", [{"ratio": 0.5, "macs": 0.5}, {"latency": 0.5, "parameters": 0.4}])
def test_wishes_exclude_each_other(wishes: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        make_pass("prune_channels", wishes)
