"""Tensors kept in a model file: their size without reading them, and their numbers where they are few."""

from collections.abc import Iterator
from math import prod
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from onnx.external_data_helper import load_external_data_for_tensor, uses_external_data

from optkit.arrays import Array
from optkit.inspection.values import FEW, Stored, Value, tensor_type

NAMES = {"float": "float32", "double": "float64"}
"""ONNX's names of types that numpy calls otherwise."""

NO_WEIGHTS = frozenset({"int64", "bool", "string", "uint64", "uint32", "int16", "unknown"})
"""Types of indices, shapes and texts."""

SCALARS = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
"""Attributes of a Constant node that hold numbers without a tensor."""


def dtype_name(code: int) -> str:
    """numpy's name of an ONNX element type; `unknown` for a code that this version of onnx does not know."""
    try:
        name = str(onnx.TensorProto.DataType.Name(code)).lower()
    except ValueError:
        return "unknown"
    return NAMES.get(name, name)


def tensor_value(tensor: onnx.TensorProto, key: str, folder: Path, packed: int | None = None) -> Value:
    """A stored tensor as a value. `packed` is how many weights it holds where several share an element."""
    file, place = _outside(tensor)
    stored = Stored(place or key, dtype_name(tensor.data_type), packed or prod(tensor.dims), _bytes_of(tensor), file)
    return Value(tensor_type(tensor.data_type, tensor.dims), _numbers(tensor, folder), constant=True, made_of=frozenset({stored}))


def sparse_value(tensor: onnx.SparseTensorProto, key: str) -> Value:
    """A stored sparse tensor: bytes of its values and their places."""
    dtype = tensor.values.data_type
    stored = Stored(key, dtype_name(dtype), prod(tensor.values.dims), _bytes_of(tensor.values) + _bytes_of(tensor.indices))
    return Value(tensor_type(dtype, tensor.dims), constant=True, made_of=frozenset({stored}))


def constant_value(node: onnx.NodeProto, key: str, folder: Path) -> Value:
    """What a Constant node gives."""
    for a in node.attribute:
        if a.name == "value":
            return tensor_value(a.t, key, folder)
        if a.name == "sparse_value":
            return sparse_value(a.sparse_tensor, key)
        if a.name in SCALARS:
            numbers = np.asarray(onnx.helper.get_attribute_value(a), SCALARS[a.name])
            stored = Stored(key, numbers.dtype.name, numbers.size, numbers.nbytes)
            kind = tensor_type(onnx.helper.np_dtype_to_tensor_dtype(numbers.dtype), numbers.shape)
            return Value(kind, numbers if numbers.size <= FEW else None, constant=True, made_of=frozenset({stored}))
    return Value(tensor_type(onnx.TensorProto.STRING, None), constant=True)


def numbers_in_attributes(node: onnx.NodeProto, key: str) -> Iterator[Stored]:
    """Classical models (trees, support vectors, linear ones) keep their numbers in attributes; bytes are those in the file."""
    for a in node.attribute:
        if a.type == onnx.AttributeProto.FLOATS:
            yield Stored(f"{key}.{a.name}", "float32", len(a.floats), a.ByteSize())
        elif a.type == onnx.AttributeProto.INTS:
            yield Stored(f"{key}.{a.name}", "int64", len(a.ints), a.ByteSize())
        elif a.type == onnx.AttributeProto.TENSOR:
            yield Stored(f"{key}.{a.name}", dtype_name(a.t.data_type), prod(a.t.dims), _bytes_of(a.t))


def _outside(tensor: onnx.TensorProto) -> tuple[str, str]:
    """The file that holds a tensor and its place there; empty where it is in the model file."""
    if not uses_external_data(tensor):
        return "", ""
    told = {each.key: each.value for each in tensor.external_data}
    location = told.get("location", "")
    return location, f"{location}@{told.get('offset', 0)}+{told.get('length', '')}"


def _bytes_of(tensor: onnx.TensorProto) -> int:
    if tensor.data_type == onnx.TensorProto.STRING:
        return sum(map(len, tensor.string_data))
    try:
        bits = ir.DataType(tensor.data_type).bitwidth
    except (TypeError, ValueError):
        return len(tensor.raw_data)
    return int(-(-prod(tensor.dims) * bits // 8))


def _numbers(tensor: onnx.TensorProto, folder: Path) -> Array | None:
    if prod(tensor.dims) > FEW or tensor.data_type == onnx.TensorProto.STRING:
        return None
    if uses_external_data(tensor):
        held, tensor = tensor, onnx.TensorProto()
        tensor.CopyFrom(held)
        try:
            load_external_data_for_tensor(tensor, str(folder))
        except Exception:  # its file is missing or short, which the notes say once; every way to fail means: not known
            return None
    try:
        return onnx.numpy_helper.to_array(tensor)
    except Exception:  # damaged numbers or a type that this onnx cannot convert
        return None
