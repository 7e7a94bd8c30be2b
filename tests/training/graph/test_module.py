"""A quantized graph as a module answers as ONNX Runtime does, before training and after, and keeps the portable rule."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from optkit.artifact import Artifact
from optkit.datasets import Array, Examples
from optkit.errors import ModelError
from optkit.formats.onnx import load_model, save_model
from optkit.passes import Job
from optkit.passes.quantize_static import QuantizeStatic
from optkit.quantization.integer_graph.instruction_sets import overflowing
from optkit.runtimes import open_session

torch = pytest.importorskip("torch")

from optkit.training.graph import is_quantized, make_trainable, put_back  # noqa: E402

from .small_models import convolutions, images, sentences, transformer  # noqa: E402

MAKERS: dict[str, Callable[[], ir.Model]] = {"convolutions": convolutions, "transformer": transformer}
DATA: dict[str, Callable[[], Examples]] = {"convolutions": images, "transformer": sentences}


@cache
def quantized(name: str) -> ir.Model:
    make, data = MAKERS[name], DATA[name]
    return QuantizeStatic().edit(make(), Job(Artifact(Path("m.onnx"), "onnx", "0"), data()))


def answers(model: ir.Model, examples: Examples, folder: Path) -> Array:
    save_model(model, folder / "model.onnx")
    return open_session(folder / "model.onnx").run(dict(examples.arrays))["logits"]


def asked(module: Any, examples: Examples) -> Array:
    with torch.no_grad():
        found: Array = module(*map(torch.from_numpy, examples.arrays.values()))["logits"].numpy()
    return found


def sqnr(wanted: Array, found: Array) -> float:
    return float(10 * np.log10((wanted.astype(float) ** 2).sum() / max(1e-30, ((wanted.astype(float) - found) ** 2).sum())))


def shake(module: Any) -> None:
    """As hard as a training would at the worst."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in (each for each in module.parameters() if each.requires_grad):
            parameter += 0.1 * torch.randn_like(parameter) * (parameter.abs().mean() + 0.1)


@pytest.mark.slow
@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("learn_ranges", [False, True])
def test_it_answers_as_onnx_runtime_before_and_after_training(name: str, learn_ranges: bool, tmp_path: Path) -> None:
    examples, start = DATA[name](), quantized(name)
    module = make_trainable(start, learn_ranges=learn_ranges, portable=True)
    assert is_quantized(start)
    assert sqnr(answers(start, examples, tmp_path), asked(module, examples)) > 40
    before = asked(module, examples)
    shake(module)
    made = put_back(module)
    assert sqnr(before, asked(module, examples)) < 30, "shaking changed nothing"
    found = answers(made, examples, tmp_path)
    assert sqnr(found, asked(module, examples)) > 40
    assert (found.argmax(1) != asked(module, examples).argmax(1)).sum() <= 1
    assert overflowing(made) == []


def test_weights_that_crowd_are_held_back_while_training(tmp_path: Path) -> None:
    examples, start = images(), quantized("convolutions")
    free, held = (make_trainable(start, learn_ranges=False, portable=portable) for portable in (False, True))
    for module in (free, held):
        with torch.no_grad():
            for part in module.graph.quantizers.weights.values():
                part.latent.copy_(torch.full_like(part.latent, 120) * part.spread())
    assert overflowing(put_back(free))
    made = put_back(held)
    assert overflowing(made) == []
    assert sqnr(answers(made, examples, tmp_path), asked(held, examples)) > 40


def test_an_untrained_graph_comes_back_as_it_was(tmp_path: Path) -> None:
    start = quantized("transformer")
    made = put_back(make_trainable(start, learn_ranges=True, portable=True))
    assert set(made.graph.initializers) == set(start.graph.initializers)
    for name, value in start.graph.initializers.items():
        twin = made.graph.initializers[name].const_value
        assert value.const_value is not None
        assert twin is not None
        assert twin.dtype == value.const_value.dtype
        np.testing.assert_allclose(twin.numpy(), value.const_value.numpy(), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", MAKERS)
def test_everything_that_counts_is_trained(name: str) -> None:
    module = make_trainable(quantized(name), learn_ranges=True, portable=True)
    module(*map(torch.from_numpy, DATA[name]().arrays.values()))["logits"].square().sum().backward()
    assert [n for n, p in module.named_parameters() if p.requires_grad and p.grad is None] == []
    layers = sum(node.op_type in ("Conv", "Gemm", "MatMul") for node in module.graph.model.graph)
    assert len(module.graph.quantizers.weights) == layers - (2 if name == "transformer" else 0), (
        "products of two activations have no weight"
    )


@pytest.mark.slow
def test_numbers_moved_keep_one_scale(tmp_path: Path) -> None:
    """A MaxPool stays in integers only where its input and output share a grid."""
    module = make_trainable(quantized("convolutions"), learn_ranges=True, portable=True)
    shake(module)
    made = put_back(module)
    pool = next(n for n in made.graph if n.op_type == "MaxPool")
    before, after = pool.inputs[0].producer(), pool.outputs[0].consumers()[0]  # type: ignore[union-attr]
    assert before is not None
    assert (before.op_type, after.op_type) == ("DequantizeLinear", "QuantizeLinear")
    scales = [node.inputs[1].const_value.numpy() for node in (before, after)]  # type: ignore[union-attr]
    assert scales[0] == scales[1]


def test_integers_from_elsewhere_are_refused() -> None:
    model = quantized("convolutions").clone()
    node = next(n for n in model.graph if n.op_type == "DequantizeLinear" and n.inputs[0].producer() is not None)  # type: ignore[union-attr]
    other = ir.val("other", ir.DataType.FLOAT, [], const_value=ir.tensor(np.float32(0.123), name="other"))
    model.graph.register_initializer(other)
    node.replace_input_with(1, other)
    with pytest.raises(ModelError, match="no QuantizeLinear of the same scale"):
        make_trainable(model, learn_ranges=True, portable=True)


@pytest.mark.slow
def test_what_it_learned_is_in_its_state() -> None:
    """What a checkpoint holds is enough to go on from."""
    module, other = (make_trainable(quantized("transformer"), learn_ranges=True, portable=True) for _ in range(2))
    shake(module)
    other.load_state_dict(module.state_dict())
    assert np.array_equal(asked(module, sentences()), asked(other, sentences()))
    for name, value in put_back(module).graph.initializers.items():
        twin = put_back(other).graph.initializers[name]
        assert np.array_equal(value.const_value.numpy(), twin.const_value.numpy())  # type: ignore[union-attr]


def test_graphs_that_onnx_runtime_quantized_can_be_trained(tmp_path: Path) -> None:
    """int8 activations, weights per channel or per tensor: no grid of optkit's."""
    tools = pytest.importorskip("onnxruntime.quantization")
    save_model(convolutions(), tmp_path / "float.onnx")

    class Reader(tools.CalibrationDataReader):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.left = list(images().feeds(16))

        def get_next(self) -> Any:
            return self.left.pop() if self.left else None

    kind = tools.QuantType.QInt8
    for per_channel in (False, True):
        tools.quantize_static(
            tmp_path / "float.onnx", tmp_path / "int8.onnx", Reader(), per_channel=per_channel, activation_type=kind, weight_type=kind
        )
        module = make_trainable(load_model(tmp_path / "int8.onnx"), learn_ranges=True, portable=True)
        assert len(module.graph.quantizers.weights) == 4
        shake(module)
        assert sqnr(answers(put_back(module), images(), tmp_path), asked(module, images())) > 40
