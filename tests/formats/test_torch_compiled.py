"""PyTorch models once more, to be run by torch.compile."""

from pathlib import Path

import pytest

from optkit.artifact import Artifact
from optkit.errors import UsageError
from optkit.formats.torch_compiled import is_compiled, with_compiled


def artifact(path: Path) -> Artifact:
    path.write_bytes(path.name.encode())
    return Artifact(path, "onnx" if path.suffix == ".onnx" else "torch", path.name)


def test_each_pytorch_model_stands_once_more_behind_itself(tmp_path: Path) -> None:
    models = [artifact(tmp_path / name) for name in ("a.safetensors", "b.onnx", "c.safetensors")]
    with with_compiled(models, True) as found:
        names = [each.path.name for each in found]
        assert names == ["a.safetensors", "a.compiled.safetensors", "b.onnx", "c.safetensors", "c.compiled.safetensors"]
        assert [is_compiled(each.path) for each in found] == [False, True, False, False, True]
        assert found[1].path.read_bytes() == b"a.safetensors"
        assert found[1].digest == models[0].digest
        kept = found[1].path
    assert not kept.exists()
    assert [each.path.exists() for each in models] == [True] * 3


def test_nothing_changes_without_the_wish(tmp_path: Path) -> None:
    models = [artifact(tmp_path / "a.safetensors")]
    with with_compiled(models, False) as found:
        assert found == models


def test_without_a_pytorch_model_there_is_nothing_to_compile(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none of the models is a PyTorch model"), with_compiled([artifact(tmp_path / "b.onnx")], True):
        pass
