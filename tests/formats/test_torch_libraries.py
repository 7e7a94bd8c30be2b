"""Networks of timm and transformers by name, and what is said where those cannot be loaded. Neither needs to be installed."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from optkit.errors import UsageError
from optkit.formats.torch_origin import Origin, build, trusting

torch = pytest.importorskip("torch")


def library(monkeypatch: pytest.MonkeyPatch, name: str, **holds: Any) -> None:
    module = ModuleType(name)
    module.__dict__.update(holds)
    monkeypatch.setitem(sys.modules, name, module)


def test_a_network_is_asked_for_by_name_without_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def create_model(name: str, **given: Any) -> Any:
        asked.append((name, given))
        return torch.nn.Linear(3, given["num_classes"])

    library(monkeypatch, "timm", create_model=create_model)
    assert build(Origin("timm:resnet18", {"num_classes": 7})).out_features == 7
    assert asked == [("resnet18", {"pretrained": False, "num_classes": 7})]


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_torchvision_for_another_pytorch_is_named(monkeypatch: pytest.MonkeyPatch, wrapped: bool) -> None:
    def create_model(name: str, **given: Any) -> Any:
        misfit = RuntimeError("operator torchvision::nms does not exist")
        if wrapped:
            raise ModuleNotFoundError("Could not import module 'ResNet'. Are this object's requirements defined correctly?") from misfit
        raise misfit

    library(monkeypatch, "timm", create_model=create_model)
    with pytest.raises(UsageError, match="the torchvision here was built for another PyTorch"):
        build(Origin("timm:resnet18"))


def test_a_library_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UsageError, match="timm is not installed") as caught:
        build(Origin("timm:resnet18"))
    assert caught.value.hint == "pip install timm"


def test_a_name_that_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def create_model(name: str, **given: Any) -> Any:
        raise RuntimeError(f"Unknown model ({name})")

    library(monkeypatch, "timm", create_model=create_model)
    with pytest.raises(UsageError, match=r"timm cannot make it: Unknown model \(resnet\)"):
        build(Origin("timm:resnet"))


def test_a_torchvision_for_another_pytorch_under_the_users_own_factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "optkit_misfit_nets.py").write_text("def net():\n    raise RuntimeError('operator torchvision::nms does not exist')\n")
    monkeypatch.chdir(tmp_path)
    with trusting("optkit_misfit_nets:net"), pytest.raises(UsageError, match="the torchvision here was built for another PyTorch"):
        build(Origin("optkit_misfit_nets:net"))


def test_what_a_factory_says_stays_on_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "optkit_failing_nets.py").write_text("def net():\n    raise RuntimeError('first\\nsecond')\n")
    monkeypatch.chdir(tmp_path)
    with trusting("optkit_failing_nets:net"), pytest.raises(UsageError, match="raised RuntimeError: first second"):
        build(Origin("optkit_failing_nets:net"))
    with trusting("optkit_failing_nets.net"), pytest.raises(UsageError, match="this names nothing that could be called") as caught:
        build(Origin("optkit_failing_nets.net"))
    assert "module:callable" in str(caught.value.hint)


def test_a_folder_of_transformers_that_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    class Missing:
        @staticmethod
        def from_pretrained(name: str, **given: Any) -> Any:
            raise OSError("We couldn't connect\nto load it")

    quiet = ModuleType("logging")
    quiet.__dict__["disable_progress_bar"] = lambda: None
    utils = ModuleType("utils")
    utils.__dict__["logging"] = quiet
    library(monkeypatch, "transformers", AutoModel=Missing, utils=utils)
    with pytest.raises(UsageError, match="there is no such folder") as caught:
        build(Origin("transformers:no/such-model"))
    assert "nothing is downloaded" in str(caught.value.hint)
