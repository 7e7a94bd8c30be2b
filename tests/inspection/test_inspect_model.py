from pathlib import Path

import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper

from optkit.errors import ModelError
from optkit.inspection import Inspection, Operator, Weights
from optkit.inspection.inspect_model import inputs_of, inspect_model
from optkit.records import read_record, write_record

from .tiny_models import floats, parse

TWO_LAYERS = """
<ir_version: 8, opset_import: ["": 17], producer_name: "by hand", producer_version: "2">
g (float[batch, 6] x) => (float[batch, 2] y) {
    h = Gemm (x, w1, b1)
    r = Relu (h)
    k = Constant <value = int64[2] {-1, 4}> ()
    f = Reshape (r, k)
    y = Gemm (f, w2)
}"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    onnx.save(parse(TWO_LAYERS, {"w1": floats(6, 4), "b1": floats(4), "w2": floats(4, 2)}), path)
    return path


def test_what_is_inside(model: Path) -> None:
    found = inspect_model(model)
    assert found.bytes == model.stat().st_size
    assert (found.ir_version, found.opsets, found.producer) == (8, {"": 17}, "by hand 2")
    assert [(p.name, p.dtype, p.shape) for p in found.inputs + found.outputs] == [
        ("x", "float32", ("batch", 6)),
        ("y", "float32", ("batch", 2)),
    ]
    assert found.parameters == 24 + 4 + 8
    assert found.weights == (Weights("float32", 3, 36, 144), Weights("int64", 1, 2, 16))
    assert found.operators[0] == Operator("", "Gemm", 2, 32)
    assert (found.work.macs, found.work.sizes, found.work.assumed) == (32, {"x": (1, 6)}, {"batch": 1})


def test_sizes_come_from_the_user_or_the_data(model: Path) -> None:
    assert inspect_model(model, {"batch": (10,)}).work.macs == 320
    given = inspect_model(model, feed={"x": floats(3, 6)}).work
    assert (given.macs, given.assumed) == (96, {})


def test_the_record_is_written_and_read_back(model: Path) -> None:
    found = inspect_model(model)
    assert read_record(Inspection, write_record(found)) == found


def test_nothing_that_is_no_model_gets_through(model: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(model.read_bytes()[:-40])
    text = tmp_path / "text.onnx"
    text.write_text("not a model")
    empty = tmp_path / "empty.onnx"
    empty.write_bytes(b"")
    for path in (cut, text, empty, tmp_path, tmp_path / "absent.onnx"):
        with pytest.raises(ModelError) as caught:
            inspect_model(path)
        assert caught.value.where == str(path)


def test_weights_of_the_oldest_models_are_no_inputs(tmp_path: Path) -> None:
    old = parse(
        '<ir_version: 3, opset_import: ["": 7]> g (float[1, 6] x, float[6, 4] w) => (float[1, 4] y) { y = MatMul (x, w) }',
        {"w": floats(6, 4)},
    )
    onnx.save(old, tmp_path / "old.onnx")
    assert [port.name for port in inputs_of(tmp_path / "old.onnx")] == ["x"]
    assert inspect_model(tmp_path / "old.onnx").work.macs == 24


def test_inputs_that_are_no_tensors(tmp_path: Path) -> None:
    text = """<ir_version: 8, opset_import: ["": 17]>
    g (seq(float[2]) s, string[n] t) => (float[2] y, string[n] u) { y = ConcatFromSequence <axis = 0> (s)  u = Identity (t) }"""
    onnx.save(parse(text), tmp_path / "model.onnx")
    found = inspect_model(tmp_path / "model.onnx")
    assert [(p.dtype, p.shape) for p in found.inputs] == [("sequence", ()), ("str", ("n",))]


def larger_than_protobuf_can_hold(folder: Path, data: str = "model.onnx.data") -> Path:
    """Three weights of 1.2 GB in a sparse file, which takes no room."""
    rows, columns = 10_000, 30_000
    nodes, tensors = [], []
    for number in range(3):
        tensor = TensorProto(name=f"w{number}", data_type=TensorProto.FLOAT, dims=(rows, columns), data_location=TensorProto.EXTERNAL)
        for key, value in (("location", data), ("offset", number * rows * columns * 4), ("length", rows * columns * 4)):
            tensor.external_data.add(key=key, value=str(value))
        tensors.append(tensor)
        nodes.append(helper.make_node("Gather", [f"w{number}", "i"], [f"y{number}"]))
    i = helper.make_tensor_value_info("i", TensorProto.INT64, (1,))
    ys = [helper.make_tensor_value_info(f"y{number}", 1, (1, columns)) for number in range(3)]
    graph = helper.make_graph(nodes, "large", [i], ys, tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), folder / "model.onnx")
    return folder / "model.onnx"


def test_weights_of_gigabytes_are_not_read(tmp_path: Path) -> None:
    path = larger_than_protobuf_can_hold(tmp_path)
    with (tmp_path / "model.onnx.data").open("wb") as file:
        file.truncate(3 * 1_200_000_000)
    before = psutil.Process().memory_info().rss
    found = inspect_model(path)
    assert psutil.Process().memory_info().rss - before < 200_000_000
    assert found.bytes == path.stat().st_size + 3_600_000_000
    assert (found.parameters, found.notes) == (900_000_000, ())


def test_weights_that_are_missing_are_named(tmp_path: Path) -> None:
    found = inspect_model(larger_than_protobuf_can_hold(tmp_path))
    assert found.parameters == 900_000_000
    assert found.notes == ("its weights are in model.onnx.data, which is not beside it: it cannot be run",)


def test_a_flag_in_the_data_decides_the_branch(tmp_path: Path) -> None:
    text = """
    <ir_version: 8, opset_import: ["": 17]>
    g (float[1, 8] x, bool wide) => (float[1, n] y) {
        y = If (wide) <
            then_branch = a () => (float[1, 8] p) { p = MatMul (x, big) },
            else_branch = b () => (float[1, 2] q) { q = MatMul (x, small) }
        >
    }"""
    onnx.save(parse(text, {"big": floats(8, 8), "small": floats(8, 2)}), tmp_path / "model.onnx")
    for flag, macs in ((True, 64), (False, 16)):
        assert inspect_model(tmp_path / "model.onnx", feed={"x": floats(1, 8), "wide": np.array(flag)}).work.macs == macs
    assert "dearer" in inspect_model(tmp_path / "model.onnx").work.notes[0]
