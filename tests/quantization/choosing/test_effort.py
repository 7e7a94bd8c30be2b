"""Effort high: learned rounding is taken where the outputs come closer, and needs examples."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from optkit.datasets import Examples
from optkit.errors import DataError
from optkit.formats.onnx import load_model
from optkit.quantization.affine import quantize_weight
from optkit.quantization.choosing import alike_channels, compete, spend
from optkit.quantization.choosing import polish as polishing
from optkit.quantization.choosing import settled as settling
from optkit.quantization.choosing.choose import choose
from optkit.quantization.graphs import constant_array
from optkit.quantization.integer_graph.integer_layers import integer_layers
from optkit.quantization.operators import channel_axis
from optkit.quantization.rounding.learned_rounding import Rounded
from optkit.quantization.rounding.settle_biases import settle_biases
from optkit.quantization.variants import build, known_weights, trial
from optkit.quantization.variants.wishes import Setting, Wishes
from optkit.stats.interval import Interval

from ..tiny import draw, examples, proto_of


@pytest.fixture(autouse=True)
def as_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variant is as fast as the others, so that chance does not choose."""
    monkeypatch.setattr(trial, "race", lambda models, *_, **__: [Interval(0.5, 0.5, 0.5)] * len(models))
    monkeypatch.setattr(spend, "race", lambda models, *_, **__: [Interval(1, 1, 1)] * len(models))
    monkeypatch.setattr(compete, "node_times", lambda *_: {})


ROWS = examples(x=draw(48, 32, seed=9))


def network() -> onnx.ModelProto:
    body = "(float[N,32] x) => (float[N,16] y) { a = Gemm(x, w, b) r = Relu(a) y = Gemm(r, v) }"
    return proto_of(body, w=draw(32, 64), b=draw(64), v=draw(64, 16, seed=1))


def sqnr(folder: Path, effort: str, rows: Examples = ROWS) -> float:
    path = folder / "original.onnx"
    onnx.save(network(), path)
    wishes = Wishes(method="static", effort=effort, floor=0, accept_size_only=True, seconds=0.1)
    return choose(path, load_model(path), rows, rows.spread(16), wishes, Setting(), folder / "made.onnx").best.fidelity.sqnr


def rounding_to(pick: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]) -> Callable[..., Any]:
    def rounds(model: Any, nodes: Any, *rest: Any, **options: Any) -> dict[str, Any]:
        found = {}
        for node in nodes:
            weight = constant_array(node.inputs[1])
            assert weight is not None
            integers, scale = quantize_weight(weight, channel_axis(node))
            found[str(node.name)] = Rounded(pick(integers), scale)
        return found

    return rounds


def test_a_rounding_that_harms_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alike_channels, "equalize_on", lambda model, *_, **__: (model, 0))
    plain = sqnr(tmp_path, "normal")
    monkeypatch.setattr(polishing, "_with_float_ends", lambda bench, best, *_: best)
    monkeypatch.setattr(polishing, "with_float_tail", lambda *_: None)
    monkeypatch.setattr(polishing, "ranges_by_output", lambda *_, **__: {})
    monkeypatch.setattr(settling, "settle_biases", lambda *_, **__: 0)
    monkeypatch.setattr(polishing, "round_weights", rounding_to(lambda integers: integers // 9 * 9))
    assert sqnr(tmp_path, "high") == plain


@pytest.mark.slow
def test_channels_made_alike_to_no_good_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = sqnr(tmp_path, "normal")
    monkeypatch.setattr(polishing, "_with_float_ends", lambda bench, best, *_: best)
    monkeypatch.setattr(polishing, "with_float_tail", lambda *_: None)
    monkeypatch.setattr(polishing, "ranges_by_output", lambda *_, **__: {})
    monkeypatch.setattr(settling, "settle_biases", lambda *_, **__: 0)
    monkeypatch.setattr(polishing, "round_weights", lambda *_, **__: {})
    monkeypatch.setattr(alike_channels, "equalize_on", lambda model, *_, **__: (unevenly(model), 1))
    assert sqnr(tmp_path, "high") == plain


def unevenly(model: ir.Model) -> ir.Model:
    """The same answers, from a hidden layer with one channel a thousand times as large."""
    made = model.clone()
    for name, axis, factor in (("w", 1, 1000.0), ("b", 0, 1000.0), ("v", 0, 0.001)):
        value = made.graph.initializers[name]
        array = np.array(constant_array(value))
        array[(slice(None),) * axis + (0,)] *= factor
        value.const_value = ir.tensor(array, name=name)
    return made


@pytest.mark.slow
def test_it_never_ends_less_faithful(tmp_path: Path) -> None:
    assert sqnr(tmp_path, "high") >= sqnr(tmp_path, "normal")


@pytest.mark.slow
def test_biases_that_harm_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "settle_biases", lambda *_, **__: 0)
    without = sqnr(tmp_path, "high")
    monkeypatch.setattr(settling, "settle_biases", spoil)
    assert sqnr(tmp_path, "high") == without


def spoil(model: ir.Model, *_: Any, **__: Any) -> int:
    for layer in integer_layers(model):
        layer.weight.const_value = ir.tensor(layer.integers() // 9 * 9, name=layer.weight.name)
    return 1


@pytest.mark.slow
def test_biases_that_help_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def downwards(weight: np.ndarray[Any, Any], axis: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        integers, scale = quantize_weight(weight, axis)
        return np.maximum(integers, -126) // 9 * 9 if weight.shape == (32, 64) else integers, scale  # those of the layer that has a bias

    monkeypatch.setattr(known_weights, "quantize_weight", downwards)  # so that there is much to mend
    monkeypatch.setattr(build, "correct_bias", lambda *_, **__: False)
    monkeypatch.setattr(polishing, "round_weights", lambda *_, **__: {})
    found = []
    for way in (lambda *_, **__: 0, settle_biases):
        monkeypatch.setattr(settling, "settle_biases", way)
        found.append(sqnr(tmp_path, "high", examples(x=draw(48, 32, seed=9) + 1)))
    assert found[1] > found[0] + 3


@pytest.mark.parametrize(("count", "said"), [(31, True), (32, False)])
def test_of_too_few_examples_it_says_that_nothing_is_learned(tmp_path: Path, count: int, said: bool) -> None:
    path = tmp_path / "original.onnx"
    onnx.save(network(), path)
    wishes = Wishes(method="static", effort="high", floor=0, accept_size_only=True, seconds=0.1)
    rows = ROWS.spread(count)
    choice = choose(path, load_model(path), rows, rows.spread(16), wishes, Setting(), tmp_path / "made.onnx")
    assert any("too few examples for effort high" in each for each in choice.remarks) == said


def test_it_needs_examples(tmp_path: Path) -> None:
    path = tmp_path / "original.onnx"
    onnx.save(network(), path)
    with pytest.raises(DataError, match="effort high"):
        choose(path, load_model(path), None, ROWS.spread(4), Wishes(effort="high"), Setting(), tmp_path / "made.onnx")
