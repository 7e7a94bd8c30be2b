"""What a model takes after gzip."""

import gzip
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from optkit import formats
from optkit.formats import compressed_size, model_size


@pytest.mark.parametrize("external", [False, True])
def test_it_is_that_of_gzip(tmp_path: Path, external: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    given, made = ([helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 400])] for name in "xy")
    zeros = numpy_helper.from_array(np.zeros((400, 400), np.float32), "w")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "zeros", given, made, [zeros])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=external, location="weights.bin")
    whole = b"".join(file.read_bytes() for file in [path, *([tmp_path / "weights.bin"] if external else [])])
    found = compressed_size(path)
    assert found is not None
    assert found == pytest.approx(len(gzip.compress(whole, 1)), abs=20)
    assert found < model_size(path) / 50
    monkeypatch.setattr(formats, "LARGEST_TRIED", 100)
    assert compressed_size(path) is None
