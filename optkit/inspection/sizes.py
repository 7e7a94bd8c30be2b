"""Sizes of inputs whose dimensions the model leaves open: given by the user, read off the data, or assumed, and which of these is said."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optkit.errors import UsageError
from optkit.registry import suggestion
from optkit.runtimes import Port

BATCH, PIXELS, LENGTH = 1, 224, 128
"""Assumed: one example, an image of 224 × 224 where an input has four axes, else 128 tokens or samples."""


@dataclass(frozen=True)
class Sizes:
    """Shapes to count with."""

    shapes: Mapping[str, tuple[int, ...]]
    """One for each input."""
    named: Mapping[str, int]
    """Every open dimension by its name; one without a name is called `input[axis]`."""
    assumed: Mapping[str, int]
    """Those that nobody gave."""


def choose_sizes(inputs: Sequence[Port], given: Mapping[str, tuple[int, ...]], data: Mapping[str, tuple[int, ...]] | None = None) -> Sizes:
    """Fill open dimensions from `given` (a dimension's size, or an input's whole shape), then from `data`, then by assumption.

    Raises UsageError when `given` names nothing that is open.
    """
    wanted = _check(inputs, given)
    named: dict[str, int] = {}
    for port in inputs:
        shape = wanted.get(port.name) or (data or {}).get(port.name)
        if shape is not None and len(shape) != len(port.shape):
            like = "x".join(str(d) if isinstance(d, int) else "1" for d in port.shape)
            raise UsageError(f"input {port.name!r} has {len(port.shape)} axes, not {len(shape)}", hint=f"write it like {port.name}={like}")
        named |= {_key(port, axis): size for axis, size in enumerate(shape or ()) if not isinstance(port.shape[axis], int)}
    named |= {name: sizes[0] for name, sizes in wanted.items() if name not in {port.name for port in inputs}}
    assumed = _assume(inputs, named)
    named |= assumed
    shapes = {p.name: tuple(d if isinstance(d, int) else named[_key(p, axis)] for axis, d in enumerate(p.shape)) for p in inputs}
    return Sizes(shapes, named, assumed)


def parse_sizes(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """`seq=128` sets a dimension, `x=1x3x48x320` the shape of an input. Raises UsageError."""
    sizes = {}
    for text in texts:
        found = re.fullmatch(r"(.+)=(\d+(?:[x,]\d+)*)", text.strip())
        if not found:
            raise UsageError(f"{text!r} is not a size", hint="write NAME=SIZE for a dimension, or INPUT=1x3x224x224 for an input")
        sizes[found[1]] = tuple(int(part) for part in re.split("[x,]", found[2]))
    return sizes


def _check(inputs: Sequence[Port], given: Mapping[str, tuple[int, ...]]) -> Mapping[str, tuple[int, ...]]:
    """What was given, by names that exist; an input with one axis takes a bare number too."""
    names = {port.name for port in inputs}
    free = {_key(port, axis) for port in inputs for axis, d in enumerate(port.shape) if not isinstance(d, int)}
    for name, sizes in given.items():
        if name not in names | free:
            raise UsageError(f"no input and no open dimension is called {name!r}", hint=suggestion(name, names | free))
        if name not in names and len(sizes) != 1:
            raise UsageError(f"{name!r} is one dimension, and was given {len(sizes)} sizes", hint=f"write {name}={sizes[0]}")
    # where an input and a dimension have the same name, one number means the dimension
    return {name: sizes for name, sizes in given.items() if name not in names & free or len(sizes) == 1}


def _assume(inputs: Sequence[Port], named: Mapping[str, int]) -> dict[str, int]:
    assumed: dict[str, int] = {}
    for axis in range(max((len(port.shape) for port in inputs), default=0)):
        # axis by axis, so that a name which stands first in one input is a batch in all of them
        for port in inputs:
            if axis < len(port.shape) and not isinstance(port.shape[axis], int):
                name = _key(port, axis)
                if name not in named and name not in assumed:
                    assumed[name] = _usual(port, axis, name)
    return assumed


def _usual(port: Port, axis: int, name: str) -> int:
    if axis == 0 or "batch" in name.lower() or (axis == 1 and _is_state(port)):
        return BATCH
    return PIXELS if len(port.shape) == 4 else LENGTH


def _is_state(port: Port) -> bool:
    """The state of a recurrent network: layers, batch, hidden size."""
    return len(port.shape) == 3 and isinstance(port.shape[0], int) and port.shape[0] > 1 and isinstance(port.shape[2], int)


def _key(port: Port, axis: int) -> str:
    name = port.shape[axis]
    return name if isinstance(name, str) and name else f"{port.name}[{axis}]"
