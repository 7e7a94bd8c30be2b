"""Quantized sample models on this CPU and on an emulated one without VNNI."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import parser

from optkit.arrays import Array
from optkit.datasets import read_examples
from optkit.formats import read_artifact
from optkit.optimize import optimize
from optkit.passes import Pass
from optkit.passes.quantize_dynamic import QuantizeDynamic
from optkit.passes.quantize_static import QuantizeStatic
from optkit.runtimes import open_session

from .emulated import needs_emulator, on_haswell, run_all

pytestmark = needs_emulator

SAMPLES = Path(__file__).parents[2] / "sample_models"
SAME = 50.0
"""dB: float arithmetic in another order, which at times makes an activation round the other way. INT8 keeps 30 to 45 dB of float32."""


def quantized(name: str, step: Pass, folder: Path) -> tuple[str, ...]:
    """Quantize a sample model into a folder, with four evaluation examples beside it; returns where it is said to be safe."""
    model = SAMPLES / name / "model.onnx"
    takes = open_session(model, "cpu").inputs
    target = folder / f"{name}_{step.model_dump()['target']}.onnx"
    examples = {"calibration": read_examples(f"{SAMPLES / name / 'calibration.npz'}[:64]", takes)}
    made = optimize(read_artifact(model), [step], target=target, examples=examples)
    with np.load(SAMPLES / name / "evaluation.npz") as arrays:
        np.savez(target.with_suffix(".npz"), **{value.name: arrays[value.name][:4] for value in takes})
    return tuple(made.lineage[-1].notes["safe_on"])


def likeness(first: Array, other: Array) -> float:
    """SQNR in dB of one against the other."""
    noise = float(((first.astype(np.float64) - other) ** 2).sum())
    return float(10 * np.log10((first.astype(np.float64) ** 2).sum() / noise)) if noise else np.inf


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Callable[[str], Array], Callable[[str], Array], dict[str, tuple[str, ...]]]:
    """Answers here, answers of Haswell, and where each file is said to be safe, by model and target."""
    folder = tmp_path_factory.mktemp("models")
    safe = {}
    for target in ("portable", "native"):
        # ranges that cut off much let many activations reach 255, which is where sums of pairs overflow
        safe[f"fashion_cnn_{target}"] = quantized("fashion_cnn", QuantizeStatic(target=target, ranges="entropy"), folder)
        safe[f"trec_transformer_{target}"] = quantized("trec_transformer", QuantizeDynamic(target=target), folder)
    return run_all(folder), on_haswell(folder), safe


@pytest.fixture(scope="module")
def exact_here(tmp_path_factory: pytest.TempPathFactory) -> bool:
    """Whether this CPU adds in 32 bits, seen from what it computes."""
    folder = tmp_path_factory.mktemp("here")
    graph = (
        '<ir_version: 8, opset_import: ["" : 17]> g (uint8[1,2] x) => (int32[1,1] y) <int8[2,1] w = {127, 127}> { y = MatMulInteger(x, w) }'
    )
    onnx.save(parser.parse_model(graph), folder / "layer.onnx")
    np.savez(folder / "layer.npz", x=np.full((1, 2), 255, np.uint8))
    return bool(run_all(folder)("layer").item() == 2 * 255 * 127)


@pytest.mark.parametrize("name", ["fashion_cnn", "trec_transformer"])
def test_a_portable_file_answers_the_same_on_both(name: str, models: Any) -> None:
    here, haswell, safe = models
    assert likeness(here(f"{name}_portable"), haswell(f"{name}_portable")) > SAME
    assert safe[f"{name}_portable"] == ("x86-64", "arm64")


@pytest.mark.parametrize("name", ["fashion_cnn", "trec_transformer"])
def test_a_native_file_does_not_and_says_so(name: str, models: Any, exact_here: bool) -> None:
    here, haswell, safe = models
    assert safe[f"{name}_native"] == ("x86-64 with VNNI", "arm64")
    if not exact_here:
        pytest.skip("this CPU adds in 16 bits too, so both answers are saturated")
    assert likeness(here(f"{name}_native"), haswell(f"{name}_native")) < SAME - 5
