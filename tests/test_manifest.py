from pathlib import Path

import onnx
import pytest

from optkit.artifact import Artifact, Made
from optkit.errors import ModelError
from optkit.manifest import changes, lineage_of, read_manifest, stamp

TEXT = '<ir_version: 9, opset_import: ["" : 17]> small (float[N] x) => (float[N] y) { y = Neg(x) }'


@pytest.fixture
def stamped(tmp_path: Path) -> Path:
    path = tmp_path / "m.onnx"
    onnx.save(onnx.parser.parse_model(TEXT), path)
    made = Made("simplify_graph", {}, "ab", None, {"onnx": "1"}, 0, {"folded": 3, "measured gain": 0.1, "größe": "¼"})
    stamp(path, Artifact(Path("in/original.onnx"), "onnx", "ab"), (made,))
    return path


def test_what_is_stamped_is_read_back(stamped: Path) -> None:
    manifest = read_manifest(stamped)
    assert manifest is not None
    assert manifest["source"] == {"file": "original.onnx", "digest": "ab"}
    assert manifest["steps"][0]["notes"] == {"folded": 3, "größe": "¼"}
    assert changes(stamped) == []


def test_the_lineage_comes_back(stamped: Path) -> None:
    notes = {"folded": 3, "größe": "¼"}
    assert lineage_of(stamped) == (Made("simplify_graph", {}, "ab", None, {"onnx": "1"}, 0, notes),)


@pytest.mark.parametrize("value", [None, "not json", '{"schema": 99}', '{"schema": 1, "steps": [{}]}', '{"schema": 1, "steps": [7]}'])
def test_what_is_no_manifest_has_no_lineage(tmp_path: Path, value: str | None) -> None:
    model = onnx.parser.parse_model(TEXT)
    if value is not None:
        model.metadata_props.add(key="optkit", value=value)
    onnx.save(model, tmp_path / "m.onnx")
    assert lineage_of(tmp_path / "m.onnx") == ()


def test_the_model_stays_what_it_was(stamped: Path) -> None:
    model = onnx.load(stamped)
    onnx.checker.check_model(model)
    del model.metadata_props[:]
    assert model == onnx.parser.parse_model(TEXT)


def test_every_change_of_a_byte_shows(stamped: Path) -> None:
    data = stamped.read_bytes()
    for at in range(data.index(b"Neg"), data.index(b"Neg") + 3):
        stamped.write_bytes(data[:at] + b"X" + data[at + 1 :])
        assert changes(stamped) == ["m.onnx was changed after optkit wrote it"]


def test_a_change_after_the_manifest_shows(stamped: Path) -> None:
    model = onnx.load(stamped)
    model.doc_string = "mine now"
    onnx.save(model, stamped)
    assert changes(stamped) == ["m.onnx was changed after optkit wrote it"]


def test_a_forged_manifest_shows(stamped: Path) -> None:
    model = onnx.load(stamped)
    for entry in model.metadata_props:
        entry.value = entry.value.replace("original.onnx", "another.onnx").replace("simplify", "quantize")
    model.graph.node[0].op_type = "Abs"
    onnx.save(model, stamped)
    assert changes(stamped) == ["m.onnx was changed after optkit wrote it"]


def test_a_model_without_one_is_said(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(onnx.parser.parse_model(TEXT), path)
    assert read_manifest(path) is None
    with pytest.raises(ModelError, match="holds no manifest"):
        changes(path)


@pytest.mark.parametrize("value", ["not json", "[1]"])
def test_an_entry_of_someone_else_is_no_manifest(tmp_path: Path, value: str) -> None:
    model = onnx.parser.parse_model(TEXT)
    model.metadata_props.add(key="optkit", value=value)
    onnx.save(model, tmp_path / "m.onnx")
    assert read_manifest(tmp_path / "m.onnx") is None


def test_a_manifest_of_another_schema_is_not_judged(tmp_path: Path) -> None:
    model = onnx.parser.parse_model(TEXT)
    model.metadata_props.add(key="optkit", value='{"schema": 99}')
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="its manifest has schema 99, and this optkit reads schema 1"):
        changes(tmp_path / "m.onnx")
