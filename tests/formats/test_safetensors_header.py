"""The header of a safetensors file, read and written without PyTorch."""

import json
from pathlib import Path

import numpy as np
import pytest

from optkit.errors import ModelError
from optkit.formats import digest_of, read_artifact
from optkit.formats.safetensors_header import digest_of_tensors, read_metadata, read_sizes, write_metadata


def written(path: Path, metadata: dict[str, str] | None = None) -> Path:
    values = np.arange(6, dtype="<f4").tobytes()
    header: dict[str, object] = {"w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, len(values)]}}
    if metadata:
        header["__metadata__"] = metadata
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + values)
    return path


def test_text_beside_the_tensors_is_changed_and_the_tensors_are_not(tmp_path: Path) -> None:
    path = written(tmp_path / "m.safetensors", {"kept": "as it is", "gone": "x"})
    before, tensors = path.read_bytes(), digest_of_tensors(path)
    write_metadata(path, {"new": "ä", "gone": None})
    assert read_metadata(path) == {"kept": "as it is", "new": "ä"}
    assert read_sizes(path) == {"w": (2, 3)}
    assert digest_of_tensors(path) == tensors
    assert path.read_bytes()[-24:] == before[-24:]
    assert int.from_bytes(path.read_bytes()[:8], "little") % 8 == 0
    assert [file.name for file in tmp_path.iterdir()] == ["m.safetensors"]


def test_another_weight_is_another_digest(tmp_path: Path) -> None:
    path = written(tmp_path / "m.safetensors")
    tensors, whole = digest_of_tensors(path), digest_of(path)
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    assert digest_of_tensors(path) != tensors
    assert digest_of(path) != whole


def test_it_is_a_pytorch_model(tmp_path: Path) -> None:
    assert read_artifact(written(tmp_path / "m.safetensors")).format == "torch"


@pytest.mark.parametrize(
    "data", [b"", b"\x00" * 8, b"\x10" + b"\x00" * 7 + b"no JSON at all!!", (2).to_bytes(8, "little") + b"[]", b"\xff" * 64]
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m.safetensors").write_bytes(data)
    with pytest.raises(ModelError, match="not a safetensors file"):
        read_artifact(tmp_path / "m.safetensors")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        read_metadata(tmp_path / "m.safetensors")


def test_it_agrees_with_the_library(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors")
    path = written(tmp_path / "m.safetensors", {"a": "b"})
    write_metadata(path, {"c": "d" * 1000})
    with safetensors.safe_open(str(path), framework="np") as file:
        assert file.metadata() == {"a": "b", "c": "d" * 1000}
        np.testing.assert_array_equal(file.get_tensor("w"), np.arange(6, dtype=np.float32).reshape(2, 3))
