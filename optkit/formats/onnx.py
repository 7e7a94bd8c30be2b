"""ONNX files: read, write, digest. Weights outside the file (external data) are part of the model."""

import difflib
import hashlib
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx_ir as ir

from optkit.errors import ModelError
from optkit.formats.onnx_dense import make_dense

LARGEST_FILE = 2**31 - 2**20
"""protobuf cannot hold more; larger models keep their weights beside them."""
LARGEST_DRAFT = 2**28
"""Of files that are opened and forgotten: protobuf holds several copies of what it writes, and none of weights that lie beside."""
SOON_PARSED = 2**20
"""Of files that are parsed as soon as they are searched."""
ORT_FORMAT = b"ORTM"
"""What stands behind the first four bytes of ONNX Runtime's own files (its flatbuffers schema, ort.fbs)."""


def load_model(path: Path) -> ir.Model:
    """Read a model; weights in external files stay on disk until they are used. Raises ModelError."""
    proto = load_proto(path)
    try:
        make_dense(proto.graph)
        model = ir.from_proto(proto)
        model.graph.sort()  # ONNX Runtime takes nodes in any order, which the libraries do not
    except Exception as error:  # whatever the graph made it do
        raise _with_maps(proto, path) or _unreadable(path) from error
    ir.external_data.set_base_dir(model.graph, path.parent)
    return model


def load_proto(path: Path) -> onnx.ModelProto:
    """Read a model as protobuf; weights in external files are not read, nor need they be there. Raises ModelError."""
    if not path.exists():
        raise ModelError("there is no such file", where=str(path), hint=_near(path))
    if path.is_dir():
        raise ModelError("this is a folder, not a model file", where=str(path), hint="name the .onnx file in it")
    try:
        model = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise ModelError(f"it cannot be read: {error.strerror}", where=str(path), hint="check who may read it") from error
    except Exception as error:  # the parser raises whatever the bytes made it do
        raise _unreadable(path) from error
    if not model.graph.output or model.ir_version < 1 or not model.opset_import:  # the opset stands last: it shows what was cut off
        raise _unreadable(path)
    return model


def save_model(model: ir.Model, path: Path, *, largest: int | None = None) -> None:
    """Write a model as one file, always the same bytes; weights of more than `largest` bytes (default: 2 GB) go to `NAME.data`."""
    _bring_in_constants(model)
    if sum(tensor.nbytes for tensor in _tensors(model)) > (LARGEST_FILE if largest is None else largest):
        ir.save(model, path, external_data=f"{path.name}.data")
        return
    ir.external_data.load_to_model(model)
    ir.save(model, path)


def model_files(path: Path) -> tuple[Path, ...]:
    """The model file and the external data files it names. Raises ModelError when those are not in its folder."""
    if _is_whole(path):
        return (path,)
    folder = path.parent
    names = {str(t.location) for t in _tensors(load_model(path)) if isinstance(t, ir.ExternalTensor)}
    for name in names:
        if not Path(os.path.normpath(folder / name)).is_relative_to(os.path.normpath(folder)):
            raise ModelError(f"it keeps weights outside its folder, in {name}", where=str(path), hint="put the weights beside the model")
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


def _is_whole(path: Path) -> bool:
    """A large file that names no external data, without parsing it: that would hold two copies of its weights."""
    if not path.is_file() or path.stat().st_size < SOON_PARSED:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(b"location") < 0  # the key under which a tensor's file stands


def _tensors(model: ir.Model) -> Iterator[ir.TensorProtocol]:
    """Every stored tensor: initializers and constants, in branches and loop bodies too."""
    for graph in model.graphs():
        yield from (value.const_value for value in graph.initializers.values() if value.const_value is not None)
        for node in graph:
            yield from (attr.as_tensor() for attr in node.attributes.values() if attr.type == ir.AttributeType.TENSOR and not attr.is_ref())


def _bring_in_constants(model: ir.Model) -> None:
    """onnx-ir moves initializers only; a constant in an outside file would go on pointing into the source's folder."""
    for node in (node for graph in model.graphs() for node in graph):
        for name, attr in node.attributes.items():
            if attr.type == ir.AttributeType.TENSOR and not attr.is_ref() and isinstance(attr.as_tensor(), ir.ExternalTensor):
                (tensor,) = ir.external_data.convert_tensors_from_external([attr.as_tensor()])
                node.attributes[name] = ir.AttrTensor(name, tensor)


def _with_maps(proto: onnx.ModelProto, path: Path) -> ModelError | None:
    """Converters of classical models let a classifier answer with a dictionary for each example; onnx-ir has no such type."""
    for value in proto.graph.output:
        kind = value.type.sequence_type.elem_type if value.type.HasField("sequence_type") else value.type
        if kind.HasField("map_type"):
            hint = "export it again without ZipMap: options={'zipmap': False} in skl2onnx, zipmap=False in onnxmltools"
            return ModelError(f"its output {value.name} is a dictionary, not a tensor", where=str(path), hint=hint)
    return None


def _unreadable(path: Path) -> ModelError:
    with path.open("rb") as file:
        start = file.read(8)
    if start[4:] == ORT_FORMAT:
        hint = "there is no way back from it: take the .onnx file that it was made from"
        return ModelError("this is a model in ONNX Runtime's own format (.ort), not ONNX", where=str(path), hint=hint)
    return ModelError(
        "this is not an ONNX model, or it is damaged or cut short", where=str(path), hint="check the download; optkit reads .onnx files"
    )


def _near(path: Path) -> str:
    beside = [file.name for file in path.parent.glob("*.onnx")]
    near = difflib.get_close_matches(path.name, beside, n=1)
    return f"did you mean {path.parent / near[0]}?" if near else "check the path; it is relative to the current folder"
