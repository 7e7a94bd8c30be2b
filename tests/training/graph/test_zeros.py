"""What was pruned in the float model stays 0 while its INT8 twin is trained."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from optkit.artifact import Artifact
from optkit.datasets import Examples
from optkit.formats import read_artifact
from optkit.formats.onnx import load_model
from optkit.optimize import optimize
from optkit.quantization.graphs import constant_array
from optkit.recipe.reading import make_pass

pytest.importorskip("torch")
LEARNS = {"epochs": 3, "learning_rate": 0.01, "label_share": 0.9, "training_threads": 1}


@pytest.fixture
def floats(tmp_path: Path) -> Artifact:
    draw = np.random.default_rng(0)
    first, second = (draw.normal(size=size).astype(np.float32) * 0.3 for size in ((32, 64), (64, 32)))
    inputs = [numpy_helper.from_array(first, "first"), numpy_helper.from_array(second, "second")]
    nodes = [
        helper.make_node("Gemm", ["x", "first"], ["a"], name="one"),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("Gemm", ["b", "second"], ["y"], name="two"),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", size]) for name, size in (("x", 32), ("y", 32)))
    model = helper.make_model(helper.make_graph(nodes, "net", [x], [y], inputs), opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "m.onnx")
    return read_artifact(tmp_path / "m.onnx")


def _made(source: Artifact, word: str, target: str, **parameters: Any) -> Artifact:
    draw = np.random.default_rng(1)
    x = draw.normal(size=(400, 32)).astype(np.float32)
    wanted = np.maximum(x @ draw.normal(size=(32, 32)), 0).astype(np.float32)
    given = {"training": Examples("made", {"x": x}, wanted), "calibration": Examples("made", {"x": x})}
    return optimize(source, [make_pass(word, parameters)], target=source.path.with_name(target), examples=given)


def _weights(path: Path) -> dict[str, Any]:
    found = {str(value.name): constant_array(value) for value in load_model(path).graph.initializers.values()}
    return {name.removesuffix("_int8"): array for name, array in found.items() if array is not None and array.ndim == 2}


@pytest.mark.slow
def test_two_of_four_stay(floats: Artifact) -> None:
    sparse = _made(floats, "prune_two_four", "s.onnx")
    trained = _made(sparse, "quantize_aware", "t.onnx", **LEARNS)
    plain = _made(sparse, "quantize_static", "q.onnx")
    before, after, static = (_weights(each.path) for each in (sparse, trained, plain))
    assert any((after[name] != static[name]).any() for name in before), "it learned"
    for name, array in before.items():
        assert not after[name][array == 0].any()
        assert (np.count_nonzero(after[name].reshape(-1, 4, after[name].shape[1]), axis=1) <= 2).all()


@pytest.mark.slow
def test_what_was_not_pruned_is_free(floats: Artifact) -> None:
    trained = _made(floats, "quantize_aware", "t.onnx", **LEARNS)
    static = _weights(_made(floats, "quantize_static", "q.onnx").path)
    after = _weights(trained.path)
    assert any(after[name][array == 0].any() for name, array in static.items()), "weights that round to 0 may grow"
