"""Neural Compressor's integers, in the file that ONNX Runtime runs."""

import copy
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from optkit.artifact import Artifact
from optkit.datasets import Examples, read_examples
from optkit.errors import MissingLibrary, ModelError, NothingPaid
from optkit.formats import read_artifact
from optkit.formats.onnx import load_model
from optkit.formats.torch_origin import Origin, TensorInput, trusting
from optkit.optimize import optimize
from optkit.passes.quantize_weights_torch import QuantizeWeightsTorch
from optkit.quantization.blocks.take_over import unpacked
from optkit.quantization.graphs import constant_array

torch = pytest.importorskip("torch")
Module: Any = torch.nn.Module
pytestmark = pytest.mark.slow
LIBRARY = pytest.mark.skipif(
    any(find_spec(each) is None for each in ("neural_compressor", "cpuinfo", "prettytable", "transformers")),
    reason="neural-compressor is not installed in whole: pip install 'optkit[llm]'",
)

NETS = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(64)
        self.up, self.gate, self.down = nn.Linear(64, 128), nn.Linear(64, 128, bias=False), nn.Linear(128, 64)

    def forward(self, x):
        y = self.norm(x)
        return x + self.down(nn.functional.silu(self.gate(y)) * self.up(y))

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(24, 64)
        self.blocks = nn.ModuleList([Block(), Block()])
        self.head = nn.Linear(64, 5)

    def forward(self, x):
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)

class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.up, self.down = nn.Linear(24, 256), nn.Linear(256, 5)

    def forward(self, x):
        return self.down(self.up(x).relu())
"""
LLAMA = """
import torch
from transformers import LlamaConfig, LlamaForCausalLM

class Net(LlamaForCausalLM):
    def forward(self, input_ids, **more):
        return super().forward(input_ids=input_ids, **{**more, "use_cache": False}).logits

def make():
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    return Net(LlamaConfig(vocab_size=128, max_position_embeddings=64, **sizes)).eval()
"""
LAYERS = [f"blocks.{i}.{name}" for i in (0, 1) for name in ("up", "gate", "down")]


@pytest.fixture
def folder(users_module: Callable[[str, str], Path], tmp_path: Path) -> Iterator[Path]:
    users_module("optkit_block_nets", NETS)
    x = np.random.default_rng(0).standard_normal((40, 6, 24)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x * np.linspace(0.2, 3, 24, dtype=np.float32))
    with trusting("optkit_block_nets:Net", "optkit_block_nets:Plain"):
        yield tmp_path


def source(folder: Path, name: str = "Net") -> Path:
    from optkit.formats.torch import TorchModel, save_torch
    from optkit.formats.torch_origin import build

    origin = Origin(f"optkit_block_nets:{name}", inputs=(TensorInput("x", "float32", ("batch", 6, 24)),))
    save_torch(TorchModel(build(origin).eval(), origin), folder / "net.safetensors")
    return folder / "net.safetensors"


def examples(folder: Path) -> Examples:
    return read_examples(str(folder / "x.npz"), [TensorInput("x", "float32", ("batch", 6, 24))])


def quantized(folder: Path, name: str = "Net", **asked: Any) -> Artifact:
    step = QuantizeWeightsTorch(**{"min_sqnr": 0, **asked})
    return optimize(
        read_artifact(source(folder, name)), [step], target=folder / "q.onnx", examples={"calibration": examples(folder)}, force=True
    )


def integers_in(path: Path) -> list[Any]:
    """Of every MatMulNBits node, from its bytes."""
    nodes = [node for node in load_model(path).graph if node.op_type == "MatMulNBits"]
    held = []
    for node in nodes:
        packed = constant_array(node.inputs[1])
        assert packed is not None
        held.append(unpacked(packed.reshape(len(packed), -1), node.attributes["bits"].as_int())[:, : node.attributes["K"].as_int()])
    return held


def chosen_by_library(folder: Path, algorithm: str, bits: int, symmetric: bool) -> list[Any]:
    """The integers that the library chooses when it is asked directly, of the layers in LAYERS."""
    from neural_compressor.torch.algorithms.weight_only.modules import INCWeightOnlyLinear
    from neural_compressor.torch.quantization import GPTQConfig, RTNConfig, convert, prepare

    from optkit.formats.torch_origin import build
    from optkit.passes._judging import split

    net = build(Origin("optkit_block_nets:Net")).eval()
    config = {"rtn": RTNConfig, "gptq": GPTQConfig}[algorithm](
        bits=bits, group_size=32, use_sym=symmetric, **({"model_path": "."} if algorithm == "gptq" else {})
    )
    prepared = prepare(net, config, example_inputs=torch.zeros(1))
    if algorithm != "rtn":
        with torch.no_grad():
            for feed in split(examples(folder), 128)[0].feeds(8):
                prepared(torch.from_numpy(feed["x"]))
    parts = dict(convert(prepared).named_modules())
    assert all(isinstance(parts[name], INCWeightOnlyLinear) for name in LAYERS)
    return [np.asarray(parts[name].unpack()["int_weight"]).astype(np.int64) & (2**bits - 1) for name in LAYERS]


@LIBRARY
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("algorithm", "bits", "symmetric"), [("rtn", 4, True), ("gptq", 4, False), ("rtn", 8, False)])
def test_the_file_holds_what_the_library_chose(folder: Path, algorithm: str, bits: int, symmetric: bool) -> None:
    made = quantized(folder, algorithm=algorithm, bits=bits, symmetric=symmetric)
    found = sorted(each.tobytes() for each in integers_in(made.path))
    wanted = sorted(each.astype(np.uint8).tobytes() for each in chosen_by_library(folder, algorithm, bits, symmetric))
    assert found == wanted
    notes = made.lineage[-1].notes
    assert notes["quantized"] == len(LAYERS)
    assert notes["checked on"]["largest difference"] < 1e-5
    assert notes["measured_sqnr"] > (15 if bits == 4 else 35)
    levels = {node.attributes["accuracy_level"].as_int() for node in load_model(made.path).graph if node.op_type == "MatMulNBits"}
    assert levels == ({0} if bits == 4 else {4})


@LIBRARY
@pytest.mark.filterwarnings("ignore")
def test_awq_moves_its_scales_into_the_norm(folder: Path) -> None:
    made = quantized(folder, algorithm="awq")
    norms = [node for node in onnx.load(made.path).graph.node if node.op_type == "LayerNormalization"]
    constants = {each.name: onnx.numpy_helper.to_array(each) for each in onnx.load(made.path).graph.initializer}
    scales = [constants[node.input[1]] for node in norms]
    assert len(scales) == 2
    assert all(np.ptp(each) > 0.01 for each in scales), "they were all one"
    assert made.lineage[-1].notes["quantized"] == len(LAYERS)


@LIBRARY
@pytest.mark.filterwarnings("ignore")
def test_what_is_excluded_stays_float(folder: Path) -> None:
    made = quantized(folder, algorithm="gptq", exclude=["blocks.0.up", "*.down"])
    assert len(integers_in(made.path)) == 3
    with pytest.raises(NothingPaid, match="no Linear layer"):
        quantized(folder, algorithm="rtn", exclude=["*"])


@LIBRARY
@pytest.mark.filterwarnings("ignore")
def test_a_network_without_blocks_is_told(folder: Path) -> None:
    with pytest.raises(ModelError, match="no repeated blocks"):
        quantized(folder, "Plain", algorithm="gptq")
    assert len(integers_in(quantized(folder, "Plain", algorithm="rtn").path)) == 1


@LIBRARY
@pytest.mark.filterwarnings("ignore")
def test_what_loses_too_much_is_no_result(folder: Path) -> None:
    with pytest.raises(NothingPaid, match="4-bit weights lose too much here"):
        quantized(folder, algorithm="rtn", min_sqnr=100)
    assert not (folder / "q.onnx").exists()


@pytest.fixture
def llama(users_module: Callable[[str, str], Path], tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """`llama(algorithm)` quantizes a tiny network of transformers, and gives the notes of that."""
    from optkit.formats.torch import TorchModel, save_torch
    from optkit.formats.torch_origin import build

    users_module("optkit_tiny_llama", LLAMA)
    origin = Origin("optkit_tiny_llama:make", inputs=(TensorInput("input_ids", "int64", ("batch", "length")),))
    texts = Examples("made", {"input_ids": np.random.default_rng(0).integers(0, 128, (32, 16))})

    def notes(algorithm: str) -> dict[str, Any]:
        step, net = QuantizeWeightsTorch.model_validate({"algorithm": algorithm, "min_sqnr": 0}), tmp_path / "net.safetensors"
        with trusting("optkit_tiny_llama:make"):
            save_torch(TorchModel(build(origin), origin), net)
            made = optimize(read_artifact(net), [step], target=tmp_path / f"{algorithm}.onnx", examples={"calibration": texts})
        return dict(made.lineage[-1].notes)

    return notes


@LIBRARY
@pytest.mark.filterwarnings("ignore")
def test_a_network_of_transformers_may_come_after_one_of_ones_own(folder: Path, llama: Callable[[str], dict[str, Any]]) -> None:
    quantized(folder, algorithm="rtn")
    assert llama("rtn")["quantized"] == 10


@pytest.mark.skipif(find_spec("auto_round") is None, reason="auto-round is not installed: pip install auto-round")
@LIBRARY
@pytest.mark.filterwarnings("ignore")
def test_auto_round_learns_what_the_file_then_holds(llama: Callable[[str], dict[str, Any]]) -> None:
    learned, nearest = llama("auto_round"), llama("rtn")
    assert learned["quantized"] == nearest["quantized"] == 10
    assert learned["checked on"]["largest difference"] < 1e-5, "PyTorch and ONNX Runtime agree on what was learned"
    assert learned["measured_sqnr"] > nearest["measured_sqnr"] + 2


@pytest.mark.skipif(find_spec("auto_round") is not None, reason="auto-round is installed")
@LIBRARY
def test_auto_round_says_what_to_install(folder: Path) -> None:
    with pytest.raises(MissingLibrary) as caught:
        quantized(folder, algorithm="auto_round")
    assert caught.value.hint == "pip install auto-round"


def test_norms_whose_answer_goes_elsewhere_share_nothing() -> None:
    from optkit.quantization.blocks.absorbed import absorbing

    class Block(Module):  # type: ignore[misc]
        def __init__(self, before: bool) -> None:
            super().__init__()
            self.norm, self.up, self.down = torch.nn.LayerNorm(8), torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)
            self.before = before

        def forward(self, x: Any) -> Any:
            y = self.norm(x)
            return (x if self.before else y) + self.down(self.up(y).relu())

    def calibrate(module: Any, most: int | None = None) -> None:
        module(torch.randn(3, 8, generator=torch.Generator().manual_seed(0)))

    for before, wanted in ((True, {"norm": ("up",), "down": "down"}), (False, {"up": "up", "down": "down"})):
        net = torch.nn.Sequential(torch.nn.Identity())
        net.blocks = torch.nn.ModuleList([Block(before), Block(before)])
        net.forward = lambda x, net=net: net.blocks[1](net.blocks[0](x))
        held = copy.deepcopy(net.state_dict())
        with torch.no_grad():
            assert absorbing(net, calibrate) == wanted
        assert all(torch.equal(value, held[name]) for name, value in net.state_dict().items()), "trying leaves no trace"


def test_conv1d_of_transformers_becomes_linear() -> None:
    from optkit.quantization.blocks.neural_compressor import as_linear

    class Conv1D(Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.nf = 5
            self.weight, self.bias = torch.nn.Parameter(torch.randn(7, 5)), torch.nn.Parameter(torch.randn(5))

        def forward(self, x: Any) -> Any:
            return x @ self.weight + self.bias

    net = torch.nn.Sequential(Conv1D())
    x = torch.randn(3, 7)
    wanted = net(x)
    as_linear(net)
    assert type(net[0]) is torch.nn.Linear
    torch.testing.assert_close(net(x), wanted)
