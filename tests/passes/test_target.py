"""`target` of the INT8 passes: what it changes in the file, and what is said of it."""

from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from optkit.datasets import Examples
from optkit.formats import read_artifact
from optkit.formats.onnx import load_model
from optkit.manifest import read_manifest
from optkit.optimize import optimize
from optkit.passes.quantize_dynamic import QuantizeDynamic
from optkit.passes.quantize_static import QuantizeStatic
from optkit.quantization.integer_graph.instruction_sets import overflowing

WIDE = 64


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A matrix product whose neighbouring weights are large and of one sign."""
    weight = np.random.default_rng(2).uniform(0.5, 1, (WIDE, WIDE)).astype(np.float32)
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", WIDE]) for name in "xy"]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")], "g", ends[:1], ends[1:], [numpy_helper.from_array(weight, "w")]
    )
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize("kind", [QuantizeDynamic, QuantizeStatic])
@pytest.mark.parametrize(
    ("target", "safe", "saturating"), [("portable", ["x86-64", "arm64"], 0), ("native", ["x86-64 with VNNI", "arm64"], 1)]
)
def test_the_file_is_safe_where_its_manifest_says(
    kind: type[QuantizeDynamic | QuantizeStatic], target: Literal["portable", "native"], safe: list[str], saturating: int, model: Path
) -> None:
    examples = Examples("made.npz", {"x": np.random.default_rng(3).normal(size=(32, WIDE)).astype(np.float32)})
    made = optimize(read_artifact(model), [kind(target=target)], target=model.with_name("made.onnx"), examples={"calibration": examples})
    assert len(overflowing(load_model(made.path))) == saturating
    assert made.lineage[-1].notes["safe_on"] == safe
    manifest = read_manifest(made.path)
    assert manifest is not None
    assert manifest["steps"][-1]["notes"]["safe_on"] == safe


@pytest.mark.parametrize("kind", [QuantizeDynamic, QuantizeStatic])
def test_portable_is_what_one_gets_unasked(kind: type[QuantizeDynamic | QuantizeStatic]) -> None:
    assert kind().model_dump()["target"] == "portable"
