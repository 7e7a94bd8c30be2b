"""PyTorch models as files: what makes them, their weights, and nothing that could run code by itself."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optkit.datasets import Examples
from optkit.errors import ModelError, UsageError
from optkit.formats import read_artifact
from optkit.formats.torch_origin import Origin, TensorInput, origin_from, trusted, trusting
from optkit.optimize import optimize
from optkit.recipe.reading import make_pass

torch = pytest.importorskip("torch")

from optkit.formats.torch import TorchModel, load_torch, load_weights, named_outputs, read_origin, save_torch  # noqa: E402
from optkit.runtimes import open_session  # noqa: E402

NETS = """
from torch import nn

class Net(nn.Module):
    def __init__(self, width=8, classes=3):
        super().__init__()
        self.conv = nn.Conv2d(1, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.head = nn.Linear(width, classes)

    def forward(self, image):
        return self.head(self.norm(self.conv(image)).relu().mean((2, 3)))

def tied():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    net[1].weight = net[0].weight
    return net

def broken():
    raise RuntimeError("no luck")

number = 3
"""
FACTORY = "optkit_test_nets:Net"


@pytest.fixture
def nets(users_module: Callable[[str, str], Path]) -> Path:
    return users_module("optkit_test_nets", NETS)


def saved(folder: Path, width: int = 8) -> tuple[Path, Any]:
    from optkit_test_nets import Net  # type: ignore[import-not-found]

    torch.manual_seed(0)
    net = Net(width)
    with trusting(FACTORY):
        save_torch(
            TorchModel(net, Origin(FACTORY, inputs=(TensorInput("image", "float32", ("batch", 1, 8, 8)),))), folder / "m.safetensors"
        )
    return folder / "m.safetensors", net.eval()


@pytest.mark.slow
def test_a_model_comes_back_as_it_was(nets: Path) -> None:
    path, net = saved(nets)
    with trusting(FACTORY):
        found = load_torch(path)
    x = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(found.module(x), net(x))
    assert not found.module.training
    assert found.origin.inputs[0].shape == ("batch", 1, 8, 8)


def test_sizes_that_were_changed_come_back(nets: Path) -> None:
    path, net = saved(nets, width=5)
    assert read_origin(path).edits == {
        "conv": {"out_channels": 5}, "norm": {"num_features": 5}, "head": {"in_features": 5},
    }  # fmt: skip
    with trusting(FACTORY):
        module = load_torch(path).module
    assert module.conv.weight.shape == (5, 1, 3, 3)
    x = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(module(x), net(x))
    assert all(parameter.requires_grad for parameter in module.parameters())


def test_the_same_model_gives_the_same_bytes(nets: Path) -> None:
    first = saved(nets)[0].read_bytes()
    assert saved(nets)[0].read_bytes() == first


def test_a_file_alone_runs_no_code(nets: Path) -> None:
    path, _ = saved(nets)
    with pytest.raises(UsageError, match="a file is no reason to run code") as caught:
        load_torch(path)
    assert caught.value.hint == f"if you trust that code, say so: --factory {FACTORY}"
    with trusting("another:Net"), pytest.raises(UsageError):
        load_torch(path)
    assert trusted() == ()


def test_a_pickle_that_would_run_code_is_refused(nets: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, ("touch exploded",)

    (nets / "w.pt").write_bytes(pickle.dumps({"conv.weight": Bomb()}))
    torch.save({"conv.weight": Bomb()}, nets / "z.pt")
    from optkit_test_nets import Net

    for name in ("w.pt", "z.pt"):
        with pytest.raises(ModelError, match="no plain state dict"):
            load_weights(Net(), nets / name)
    assert not (nets / "exploded").exists()


@pytest.mark.parametrize(
    "wrap",
    [lambda state: state, lambda state: {"state_dict": state}, lambda state: {f"module.{n}": t for n, t in state.items()}],
    ids=["alone", "in a checkpoint", "of several GPUs"],
)
def test_state_dicts_as_people_save_them(nets: Path, wrap: object) -> None:
    from optkit_test_nets import Net

    assert callable(wrap)
    torch.save(wrap(Net().state_dict()), nets / "w.pt")
    load_weights(Net(), nets / "w.pt")


def test_weights_that_do_not_fit_are_told(nets: Path) -> None:
    from optkit_test_nets import Net

    torch.save(Net(width=4).state_dict(), nets / "w.pt")
    with pytest.raises(ModelError, match=r"do not fit the network: .*conv\.weight"):
        load_weights(Net(width=8), nets / "w.pt")


def test_tied_weights_stay_tied_and_are_stored_once(nets: Path) -> None:
    from optkit_test_nets import tied

    net = tied()
    with trusting("optkit_test_nets:tied"):
        save_torch(TorchModel(net, Origin("optkit_test_nets:tied")), nets / "t.safetensors")
        found = load_torch(nets / "t.safetensors").module
    assert found[0].weight is found[1].weight
    torch.testing.assert_close(found[0].weight, net[0].weight)


@pytest.mark.parametrize(
    ("factory", "arguments", "says"),
    [
        ("optkit_test_nets:Nett", {}, "has nothing called 'Nett'"),
        ("nowhere_at_all:Net", {}, "there is no module"),
        (FACTORY, {"size": 3}, "unexpected keyword argument 'size'"),
        ("optkit_test_nets:broken", {}, "no luck"),
        ("optkit_test_nets:dict", {}, "has nothing called 'dict'"),
    ],
)
def test_factories_that_make_nothing(nets: Path, factory: str, arguments: dict[str, object], says: str) -> None:
    from optkit.formats.torch_origin import build

    with trusting(factory), pytest.raises(UsageError, match=says):
        build(Origin(factory, arguments))


def test_an_origin_is_read_back() -> None:
    origin = Origin("a:b", {"c": [1, 2]}, {"x.y": {"size": 3}}, (TensorInput("i", "int64", ("n", None, 4)),), ("out",))
    assert origin_from(origin.as_text(), "here") == origin
    with pytest.raises(ModelError, match="damaged"):
        origin_from("{}", "here")


def test_a_session_answers_as_the_module_does(nets: Path) -> None:
    path, net = saved(nets)
    with trusting(FACTORY):
        session = open_session(path)
    x = np.random.default_rng(0).standard_normal((3, 1, 8, 8)).astype(np.float32)
    expected = net(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(np.asarray(session.run({"image": x})["output"], np.float32), expected, rtol=1e-6)
    session.bind({"image": x})()
    with trusting(FACTORY), pytest.raises(UsageError, match="do not run on openvino"):
        open_session(path, "openvino")
    with pytest.raises(ModelError, match="fails while running"):
        session.run({"image": np.zeros((1, 2, 8, 8), np.float32)})


def test_outputs_have_names() -> None:
    one = torch.zeros(1)
    assert list(named_outputs(one)) == ["output"]
    assert list(named_outputs((one, one))) == ["output_0", "output_1"]
    assert list(named_outputs({"logits": one, "loss": None})) == ["logits"]
    assert list(named_outputs((one, one), ("a", "b"))) == ["a", "b"]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["by position", "by name", "mixed"])
def test_a_program_takes_its_inputs_by_name_however_it_was_traced(nets: Path, how: str) -> None:
    class Two(torch.nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, image: Any, weight: Any) -> Any:
            return image * 2 + weight

    image, weight = torch.ones(2, 3), torch.full((2, 3), 5.0)
    free = {name: {0: torch.export.Dim("batch")} for name in ("image", "weight")}
    args = {"by position": (image, weight), "by name": (), "mixed": (image,)}[how]
    given = {"by position": {}, "by name": {"image": image, "weight": weight}, "mixed": {"weight": weight}}[how]
    torch.export.save(torch.export.export(Two(), args, given, dynamic_shapes=free), nets / "p.pt2")
    model = load_torch(nets / "p.pt2")
    assert [each.name for each in model.origin.inputs] == ["image", "weight"]
    session = open_session(nets / "p.pt2")
    answers = session.run({"weight": np.ones((4, 3), np.float32), "image": np.zeros((4, 3), np.float32)})
    np.testing.assert_array_equal(answers["output"], np.ones((4, 3)))
    numbers = np.arange(24, dtype=np.float32).reshape(8, 3)
    real = Examples("made", {"image": numbers, "weight": numbers + 1})
    made = optimize(read_artifact(nets / "p.pt2"), [make_pass("export_onnx", {})], target=nets / "p.onnx", examples={"calibration": real})
    found = open_session(made.path).run({"weight": np.ones((3, 3), np.float32), "image": np.full((3, 3), 2, np.float32)})
    np.testing.assert_array_equal(np.asarray(found["output"]), np.full((3, 3), 5.0))
