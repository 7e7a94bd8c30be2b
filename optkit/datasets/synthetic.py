"""Made-up examples, for when there is no data: fit for speed and for how alike two models answer, never for accuracy."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from optkit.arrays import Array
from optkit.datasets._examples import Examples
from optkit.datasets._fit import dtype_of, fit_examples, is_float
from optkit.decoder import is_cache
from optkit.errors import DataError
from optkit.inputs import Input

ROWS = 16
"""Length of an axis that the model leaves open, such as that of tokens."""
PIXELS = 224
"""Length of an open axis of an image."""
UNKNOWN = "any"
"""The type of an input that takes what it is given, as far as the model says."""
LARGEST_ID = 10
"""Ids are below it where nobody says how many there are: an embedding has at least as many rows."""


def synthetic(inputs: Sequence[Input], count: int = 64, seed: int = 0, ids: Mapping[str, int] | None = None) -> Examples:
    """`count` examples of the inputs' types and shapes, the same for the same seed; `Examples.synthetic` is set.

    Floats are normal; integers are ids, below the number that `ids` has for the input; what is called a mask is ones, type ids are zeros,
    positions count up. Examples are whole feeds, with one row each, where an input is a single value or has a fixed first axis longer
    than 1.
    """
    if count < 1:
        raise DataError("no examples are asked for", where="--synthetic", hint="ask for at least one")
    for port in inputs:
        if port.dtype == UNKNOWN:
            hint = "give examples, or say in the recipe what it takes: model: {inputs: {NAME: 'float32[N, 3, 224, 224]'}}"
            raise DataError(f"nothing says what the input {port.name!r} takes", where="--synthetic", hint=hint)
    inputs = [port for port in inputs if not is_cache(port)]
    whole = any(not port.shape or (isinstance(port.shape[0], int) and port.shape[0] > 1) for port in inputs)
    random = np.random.default_rng(seed)
    arrays = {port.name: _values(port, (count, *_sizes(port, inputs, whole)), random, ids or {}) for port in inputs}
    return fit_examples(f"{count} made-up examples", arrays, inputs, synthetic=True)


def _sizes(port: Input, inputs: Sequence[Input], whole: bool) -> Iterator[int]:
    """Lengths of the axes of one example; in a whole feed the first open axis is that of the rows."""
    rows = next((axis for axis, size in enumerate(port.shape) if not isinstance(size, int)), None)
    elsewhere = {size for other in inputs if not _is_image(other) for size in other.shape if isinstance(size, str)}
    for axis, size in enumerate(port.shape):
        if isinstance(size, int):
            if whole or axis > 0:
                yield size
        elif axis != rows or (axis > 0 and not whole):
            yield PIXELS if _is_image(port) and size not in elsewhere else ROWS
        elif whole:
            yield 1


def _is_image(port: Input) -> bool:
    return len(port.shape) == 4 and (port.shape[1] in (1, 3) or port.shape[3] in (1, 3))


def _values(port: Input, shape: tuple[int, ...], random: np.random.Generator, ids: Mapping[str, int]) -> Array:
    name, dtype = port.name.lower(), dtype_of(port)
    if "mask" in name:
        return np.ones(shape, dtype)
    if dtype.kind == "O":
        return np.full(shape, "made-up text", dtype)
    if is_float(dtype):
        return random.standard_normal(shape).astype(dtype)
    if dtype.kind == "b":
        return random.random(shape) < 0.5
    if "type" in name or "segment" in name:
        return np.zeros(shape, dtype)
    if "position" in name:
        return np.broadcast_to(np.arange(shape[-1]), shape).astype(dtype)
    if dtype == np.uint8 and len(shape) > 2:
        return random.integers(0, 256, shape, dtype=np.uint8)
    return random.integers(1 if not port.shape else 0, ids.get(port.name, LARGEST_ID), shape).astype(dtype)
