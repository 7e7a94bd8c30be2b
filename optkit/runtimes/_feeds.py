"""Arrays that go into and come out of ONNX Runtime: their types, and what is wrong when they do not fit."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from optkit.arrays import Array
from optkit.runtimes import Port

_DTYPES = {"float": "float32", "double": "float64", "string": "str"}


def dtype_of(onnx_type: str) -> str:
    """numpy's name of an ONNX Runtime type: `tensor(float)` → `float32`; what is no tensor keeps its own name."""
    if not onnx_type.startswith("tensor("):
        return onnx_type
    name = onnx_type.removeprefix("tensor(").removesuffix(")")
    return _DTYPES.get(name, name)


def as_array(answer: Any) -> Array:
    """An output as an array. A list of maps (ZipMap of classifiers) becomes one column per key, in the order of the keys."""
    if isinstance(answer, list) and answer and isinstance(answer[0], dict):
        keys = sorted(answer[0])
        return np.array([[row[key] for key in keys] for row in answer])
    return np.asarray(answer)


def mismatch(ports: Sequence[Port], feed: Mapping[str, Array]) -> str | None:
    """What is wrong with a feed, in one sentence, or None when it fits."""
    for port in ports:
        if port.name not in feed and port.dtype.startswith("optional("):
            continue
        if port.name not in feed:
            return f"input {port.name!r} is missing; given: {', '.join(feed) or 'nothing'}"
    for name in feed:
        if name not in {port.name for port in ports}:
            return f"the model has no input {name!r}"
    sizes: dict[str, tuple[str, int]] = {}
    for port in (port for port in ports if port.name in feed):
        if port.dtype.startswith("seq("):
            return f"input {port.name!r} wants a sequence of tensors, which data files cannot hold"
        array = np.asarray(feed[port.name])
        given = "str" if array.dtype.kind in "OUS" else array.dtype.name
        if given != port.dtype and "(" not in port.dtype:
            return f"input {port.name!r} wants {port.dtype}, given {given}"
        if not _fits(port.shape, array.shape):
            return f"input {port.name!r} wants shape {_show(port.shape)}, given {_show(array.shape)}"
        for wanted, size in zip(port.shape, array.shape, strict=False):
            if isinstance(wanted, str) and sizes.setdefault(wanted, (port.name, size))[1] != size:
                first, other = sizes[wanted]
                return f"inputs {first!r} and {port.name!r} want the same size for {wanted!r}, given {other} and {size}"
    return None


def _fits(wanted: tuple[int | str | None, ...], given: tuple[int, ...]) -> bool:
    if not wanted:  # a scalar, or a shape that the model leaves open
        return True
    return len(wanted) == len(given) and all(not isinstance(w, int) or w == g for w, g in zip(wanted, given, strict=True))


def _show(shape: Sequence[int | str | None]) -> str:
    return "[" + ", ".join("?" if size is None else str(size) for size in shape) + "]"
