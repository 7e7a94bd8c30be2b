"""A network of timm itself, where it is installed with a torchvision that fits: pruned, stored, loaded and exported."""

from pathlib import Path

import numpy as np
import pytest

from optkit.datasets import Examples
from optkit.errors import UsageError
from optkit.formats import read_artifact
from optkit.formats.torch_origin import Origin, TensorInput, build
from optkit.optimize import optimize
from optkit.recipe.reading import make_pass

torch = pytest.importorskip("torch")
pytest.importorskip("torch_pruning")
pytestmark = pytest.mark.slow

ORIGIN = Origin(
    "timm:mobilenetv3_small_050", {"num_classes": 10, "in_chans": 1}, inputs=(TensorInput("x", "float32", ("batch", 1, 32, 32)),)
)


def test_it_is_pruned_and_exported(tmp_path: Path) -> None:
    from optkit.formats.torch import TorchModel, load_torch, save_torch

    torch.manual_seed(0)
    try:
        module = build(ORIGIN)
    except UsageError as error:
        pytest.skip(error.what)
    save_torch(TorchModel(module.eval(), ORIGIN), tmp_path / "m.safetensors")
    x = np.random.default_rng(0).normal(size=(16, 1, 32, 32)).astype(np.float32)
    steps = [make_pass("prune_channels", {"ratio": 0.3}), make_pass("export_onnx", {})]
    source = read_artifact(tmp_path / "m.safetensors")
    pruned = optimize(source, steps[:1], target=tmp_path / "p.safetensors", examples={"calibration": Examples("made", {"x": x})})
    before, after = pruned.lineage[-1].notes["macs"]
    assert after < 0.8 * before
    assert sum(each.numel() for each in load_torch(pruned.path).module.parameters()) == pruned.lineage[-1].notes["parameters"][1]
    exported = optimize(pruned, steps[1:], target=tmp_path / "p.onnx", examples={"calibration": Examples("made", {"x": x})})
    assert exported.lineage[-1].notes["checked on"]["largest difference"] < 1e-3
