"""ONNX files: read, write, digest. Weights outside the file (external data) are part of the model."""

import hashlib
from pathlib import Path

import onnx_ir as ir

from optkit.errors import ModelError

LARGEST_FILE = 2**31 - 2**20
"""protobuf cannot hold more; larger models keep their weights beside them."""


def load_model(path: Path) -> ir.Model:
    """Read a model; weights in external files stay on disk until they are used. Raises ModelError."""
    try:
        model = ir.load(path)
    except Exception as error:  # the parser raises whatever the bytes made it do
        raise _unreadable(path) from error
    if not model.graph.outputs or model.ir_version < 1:
        raise _unreadable(path)
    return model


def save_model(model: ir.Model, path: Path) -> None:
    """Write a model; the same model gives the same bytes. Over 2 GB the weights go to `NAME.data` beside it."""
    size = sum(v.const_value.nbytes for v in model.graph.initializers.values() if v.const_value is not None)
    ir.save(model, path, external_data=f"{path.name}.data" if size > LARGEST_FILE else None)


def model_files(path: Path) -> tuple[Path, ...]:
    """The model file and the external data files it names."""
    folder = path.parent
    names = {str(t.location) for t in _external_tensors(load_model(path))}
    return (path, *sorted(folder / name for name in names))


def model_size(path: Path) -> int:
    """Bytes on disk, external data included."""
    return sum(file.stat().st_size for file in model_files(path))


def digest_of(path: Path) -> str:
    """sha256 over the model file and its external data. Raises ModelError when a file is missing or is no model."""
    total = hashlib.sha256()
    for file in model_files(path):
        if not file.exists():
            raise ModelError(
                f"its weights are in {file.name}, which is not beside it", where=str(path), hint=f"put {file.name} into {file.parent}"
            )
        with file.open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()


def rename_model(path: Path, name: str) -> Path:
    """Give a model file another name in its folder; weights beside it become `NAME.data`."""
    old, target = model_files(path), path.with_name(name)
    if len(old) == 1:
        return path.rename(target)
    ir.save(load_model(path), target, external_data=f"{name}.data")
    for file in set(old) - {target, path.with_name(f"{name}.data")}:
        file.unlink()
    return target


def _external_tensors(model: ir.Model) -> list[ir.ExternalTensor]:
    found = []
    for graph in (model.graph, *model.graph.subgraphs()):
        found += [v.const_value for v in graph.initializers.values() if isinstance(v.const_value, ir.ExternalTensor)]
    return found


def _unreadable(path: Path) -> ModelError:
    return ModelError(
        "this is not an ONNX model, or it is damaged or cut short", where=str(path), hint="check the download; optkit reads .onnx files"
    )
