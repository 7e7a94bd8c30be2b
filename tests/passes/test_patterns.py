"""A pattern of nodes that matches nothing stops what quantizes to INT8."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from optkit.artifact import Artifact
from optkit.datasets import Examples
from optkit.errors import UsageError
from optkit.formats import read_artifact
from optkit.optimize import optimize
from optkit.recipe.reading import make_pass

X = np.random.default_rng(0).normal(size=(40, 64)).astype(np.float32)


@pytest.fixture
def source(tmp_path: Path) -> Artifact:
    draw = np.random.default_rng(1)
    weights = [numpy_helper.from_array(draw.normal(size=(64, 64)).astype(np.float32), f"w{i}") for i in range(2)]
    nodes = [helper.make_node("MatMul", ["x", "w0"], ["a"], name="first"), helper.make_node("MatMul", ["a", "w1"], ["y"])]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 64]) for name in ("x", "y"))
    model = helper.make_model(helper.make_graph(nodes, "g", [x], [y], weights), opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    save(model, tmp_path / "m.onnx")
    return read_artifact(tmp_path / "m.onnx")


def _made(source: Artifact, word: str, **parameters: Any) -> Artifact:
    given = {"calibration": Examples("made", {"x": X})}
    return optimize(source, [make_pass(word, parameters)], target=source.path.with_name("out.onnx"), examples=given, force=True)


@pytest.mark.parametrize("word", ["quantize", "quantize_static", "quantize_dynamic"])
def test_it_is_told(source: Artifact, word: str) -> None:
    with pytest.raises(UsageError, match=r"exclude: 'frist' matches no layer") as caught:
        _made(source, word, exclude=["first", "frist"])
    assert "did you mean 'first'?" in str(caught.value.hint)


@pytest.mark.parametrize("pattern", ["first", "fir*"])
def test_one_that_matches_is_taken(source: Artifact, pattern: str) -> None:
    made = _made(source, "quantize_static", exclude=[pattern])
    assert made.path.is_file()
