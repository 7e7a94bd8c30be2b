from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, numpy_helper, parser

from optkit.arrays import Array
from optkit.errors import ModelError
from optkit.formats import onnx as onnx_format
from optkit.formats import read_artifact
from optkit.formats.onnx import digest_of, load_model, model_files, model_size, save_model


def proto_with(weight: Array) -> onnx.ModelProto:
    proto = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 15]> g (float[N,8] x) => (float[N,8] y) {
            k = Constant<value = float[8] {1,2,3,4,5,6,7,8}>() m = MatMul(x, w) y = Add(m, k) }"""
    )
    proto.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    return proto


def answer(path: Path) -> Array:
    found: Array = ort.InferenceSession(path).run(None, {"x": np.ones((1, 8), np.float32)})[0]
    return found


@pytest.fixture
def weight() -> Array:
    return np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)


@pytest.fixture
def outside(tmp_path: Path, weight: Array) -> Path:
    """A model with its weight, and a constant, in another file."""
    path = tmp_path / "source" / "model.onnx"
    path.parent.mkdir()
    onnx.save(proto_with(weight), path, save_as_external_data=True, location="model.bin", size_threshold=0, convert_attribute=True)
    return path


def test_what_is_saved_reads_back_the_same(tmp_path: Path, weight: Array) -> None:
    path = tmp_path / "a.onnx"
    onnx.save(proto_with(weight), path)
    save_model(load_model(path), tmp_path / "b.onnx")
    save_model(load_model(path), tmp_path / "c.onnx")
    assert (tmp_path / "b.onnx").read_bytes() == (tmp_path / "c.onnx").read_bytes()
    np.testing.assert_array_equal(answer(tmp_path / "b.onnx"), answer(path))


def test_weights_outside_are_part_of_the_model(outside: Path) -> None:
    assert [file.name for file in model_files(outside)] == ["model.onnx", "model.bin"]
    assert model_size(outside) == outside.stat().st_size + (outside.parent / "model.bin").stat().st_size
    before = digest_of(outside)
    data = bytearray((outside.parent / "model.bin").read_bytes())
    data[0] ^= 1
    (outside.parent / "model.bin").write_bytes(data)
    assert digest_of(outside) != before


def test_a_copy_elsewhere_does_not_point_back(outside: Path, tmp_path: Path) -> None:
    expected = answer(outside)
    target = tmp_path / "copy.onnx"
    save_model(load_model(outside), target)
    (outside.parent / "model.bin").unlink()
    assert model_files(target) == (target,)
    np.testing.assert_array_equal(answer(target), expected)


def test_too_large_for_one_file_goes_beside_it(tmp_path: Path, weight: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "source.onnx", tmp_path / "large.onnx"
    proto = proto_with(weight)
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.vstack([weight, weight]).reshape(8, 16)[:, :16].copy(), "w"))
    proto.graph.node[0].attribute[0].t.CopyFrom(numpy_helper.from_array(np.array(1, "f"), "k"))
    proto.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 16
    onnx.save(proto, source)
    monkeypatch.setattr(onnx_format, "LARGEST_FILE", 256)
    save_model(load_model(source), target)
    assert [file.name for file in model_files(target)] == ["large.onnx", "large.onnx.data"]
    np.testing.assert_array_equal(answer(target), answer(source))


def test_missing_weights_are_named(outside: Path) -> None:
    (outside.parent / "model.bin").unlink()
    with pytest.raises(ModelError, match=r"its weights are in model\.bin, which is not beside it"):
        read_artifact(outside)


def test_weights_are_not_read_from_other_folders(outside: Path) -> None:
    proto = onnx.load(outside, load_external_data=False)
    for entry in proto.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = "../secret.bin"
    outside.write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match="outside its folder"):
        digest_of(outside)


def test_what_is_no_model_is_said_so(tmp_path: Path, weight: Array) -> None:
    whole = proto_with(weight).SerializeToString()
    path = tmp_path / "cut.onnx"
    for content in (b"", b"not a model at all", b"\x89PNG\r\n\x1a\n\0\0", *(whole[:end] for end in range(0, len(whole), 7))):
        path.write_bytes(content)
        with pytest.raises(ModelError, match="not an ONNX model, or it is damaged or cut short"):
            load_model(path)


def test_a_model_in_the_format_of_onnx_runtime_is_told_from_a_damaged_one(tmp_path: Path, weight: Array) -> None:
    saved = tmp_path / "model.ort"
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(saved)
    options.add_session_config_entry("session.save_model_format", "ORT")
    ort.InferenceSession(proto_with(weight).SerializeToString(), options, providers=["CPUExecutionProvider"])
    with pytest.raises(ModelError, match=r"own format \(\.ort\), not ONNX"):
        load_model(saved)


@pytest.mark.parametrize("sequence", [True, False])
def test_an_output_that_is_a_dictionary_is_named(tmp_path: Path, weight: Array, sequence: bool) -> None:
    """What skl2onnx and onnxmltools write unless told otherwise is no damaged file."""
    proto = proto_with(weight)
    odd = onnx.helper.make_map_type_proto(TensorProto.INT64, onnx.helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    proto.graph.output.add(name="chances", type=onnx.helper.make_sequence_type_proto(odd) if sequence else odd)
    onnx.save(proto, tmp_path / "a.onnx")
    with pytest.raises(ModelError, match="output chances is a dictionary") as caught:
        load_model(tmp_path / "a.onnx")
    assert "zipmap" in str(caught.value.hint)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        load_model(tmp_path / "none.onnx")
    with pytest.raises(ModelError, match="a folder"):
        load_model(tmp_path)


def test_nodes_in_any_order_are_read_in_one_that_works(tmp_path: Path, weight: Array) -> None:
    proto = proto_with(weight)
    nodes = list(proto.graph.node)[::-1]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    onnx.save(proto, tmp_path / "a.onnx")
    assert [node.op_type for node in load_model(tmp_path / "a.onnx").graph] == ["MatMul", "Constant", "Add"]
    save_model(load_model(tmp_path / "a.onnx").clone(), tmp_path / "b.onnx")
    np.testing.assert_array_equal(answer(tmp_path / "b.onnx"), answer(tmp_path / "a.onnx"))
