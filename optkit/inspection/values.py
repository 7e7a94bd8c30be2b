"""What is known of a value in a graph before anything runs: its type, its numbers where they are few, and the weights it is made of."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import onnx

from optkit.arrays import Array

Dims = tuple[int | None, ...]

FEW = 1024
"""Elements: shapes, axes and indices are smaller, weights are larger. Only so many are ever read or computed."""

NO_TYPE = onnx.TypeProto()


@dataclass(frozen=True)
class Stored:
    """A tensor kept in the model: one key is one place in a file, so that shared weights count once."""

    key: str
    dtype: str
    elements: int
    bytes: int
    file: str = ""
    """The file beside the model that holds it, if any."""


@dataclass(frozen=True, eq=False)
class Value:
    """One edge of the graph."""

    type: onnx.TypeProto = field(default_factory=lambda: NO_TYPE)
    data: Array | None = None
    """Its numbers, if they are known and few."""
    constant: bool = False
    """It depends on stored tensors only."""
    made_of: frozenset[Stored] = frozenset()
    """For constants: the stored tensors it is computed from."""
    through: frozenset[str] = frozenset()
    """For constants: the operators between those and here."""
    made_by: str = ""
    """The operator that gives it; empty for inputs and stored tensors."""

    @property
    def dims(self) -> Dims | None:
        """Its shape; None where even the rank is unknown."""
        return dims_of(self.type)

    @property
    def elements(self) -> int | None:
        dims = self.dims
        return None if dims is None else known_product(dims)


UNKNOWN = Value()


def dims_of(kind: onnx.TypeProto) -> Dims | None:
    """The shape in a tensor type; a dimension is None where it has no number."""
    if kind.WhichOneof("value") != "tensor_type" or not kind.tensor_type.HasField("shape"):
        return None
    return tuple(d.dim_value if d.HasField("dim_value") else None for d in kind.tensor_type.shape.dim)


def known_product(dims: Sequence[int | None]) -> int | None:
    known = [d for d in dims if d is not None]
    return prod(known) if len(known) == len(dims) else None


def tensor_type(dtype: int, dims: Sequence[int | None] | None) -> onnx.TypeProto:
    return onnx.helper.make_tensor_type_proto(dtype, dims)


def element_type(kind: onnx.TypeProto) -> int:
    return kind.tensor_type.elem_type if kind.WhichOneof("value") == "tensor_type" else onnx.TensorProto.UNDEFINED


def from_array(array: Array, **facts: Any) -> Value:
    """A value whose numbers are known."""
    array = np.asarray(array)
    return Value(tensor_type(onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape), array, **facts)


def varying(value: Value) -> Value:
    """A value as later rounds of a loop see it: of the same type, with other numbers."""
    return Value(value.type)


def either(a: Value, b: Value) -> Value:
    """What holds for both."""
    if a is b:
        return a
    first, second = a.dims, b.dims
    if first is None or second is None or len(first) != len(second) or element_type(a.type) != element_type(b.type):
        return Value(tensor_type(element_type(a.type), None) if element_type(a.type) == element_type(b.type) else NO_TYPE)
    return Value(tensor_type(element_type(a.type), [m if m == n else None for m, n in zip(first, second, strict=True)]))


def stacked(value: Value, count: int | None) -> Value:
    """Values of all rounds of a loop, one after the other on a first axis."""
    dims = value.dims
    return Value(tensor_type(element_type(value.type), None if dims is None else (count, *dims)))


def without_axis(value: Value, axis: int) -> tuple[Value, int | None]:
    """What one round of a scan sees of a value, and how many rounds there are."""
    dims = value.dims
    if dims is None or not -len(dims) <= axis < len(dims):
        return UNKNOWN, None
    axis %= len(dims)
    return Value(tensor_type(element_type(value.type), dims[:axis] + dims[axis + 1 :])), dims[axis]
