"""Networks of timm and transformers by name, and what is said where those cannot be loaded. Neither needs to be installed."""

import sys
from types import ModuleType
from typing import Any

import pytest

from optkit.errors import UsageError
from optkit.formats.torch_origin import Origin, build

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
