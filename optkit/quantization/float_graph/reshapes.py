"""Reshapes whose target is worked out at run time although it is known: `0` copies a dimension, `-1` is the one that is left.

Exporters build such targets from Shape, Gather, Unsqueeze and Concat; in a transformer that is a hundred small nodes.
"""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from optkit.quantization.graphs import add_constant, constant_array, constant_tensor, prune_unused
from optkit.quantization.operators import attribute, is_standard

Size = int | str
"""A dimension: its number, or what it is called; equal names are equal sizes."""
PASSING = frozenset({"Unsqueeze", "Squeeze", "Cast", "Identity", "Reshape"})
"""Leave the numbers of a target as they are."""


def settle_reshapes(model: ir.Model) -> int:
    """Give every Reshape of the main graph a constant target where its input's and output's shapes determine it; returns how many.

    Of the others, those with one target share it.
    """
    done, held = 0, dict[tuple[Size, ...], ir.Value]()
    for node in model.graph:
        if node.op_type != "Reshape" or not is_standard(node) or len(node.inputs) < 2 or attribute(node, "allowzero", 0):
            continue
        if constant_tensor(node.inputs[1]) is not None:
            continue
        target = _target(node.inputs[0], _wanted(node))
        if target is not None:
            node.replace_input_with(1, add_constant(model.graph, f"{node.outputs[0].name}_shape", np.array(target, np.int64)))
            done += 1
        elif (sizes := _numbers(node.inputs[1])) is not None and None not in sizes:
            first = held.setdefault(tuple(size for size in sizes if size is not None), node.inputs[1])  # type: ignore[arg-type]
            if first is not node.inputs[1]:
                node.replace_input_with(1, first)
                done += 1
    if done:
        prune_unused(model)
    return done


def _wanted(node: ir.Node) -> list[Size | None] | None:
    """The shape of the output: declared, and what is not declared as the nodes in front put it together."""
    declared = node.outputs[0].shape
    worked_out = _numbers(node.inputs[1])
    if declared is None:
        return None if worked_out is None else [size if _known(size) else None for size in worked_out]
    sizes: list[Size | None] = [size if isinstance(size, int) else size.value for size in declared]
    if worked_out is None or len(worked_out) != len(sizes):
        return sizes
    return [here if isinstance(here, int) or not _known(there) else there for here, there in zip(sizes, worked_out, strict=True)]


def _known(size: Size | None) -> bool:
    """0 and -1 in a target stand for sizes that are found only when the input is."""
    return size is not None and not (isinstance(size, int) and size < 1)


def _target(source: ir.Value | None, wanted: Sequence[Size | None] | None) -> list[int] | None:
    """Dimensions as numbers, 0 where input and output have the same symbol at the same place, -1 at most once."""
    if source is None or source.shape is None or wanted is None:
        return None
    held = _sizes(source)
    target: list[int] = []
    for place, size in enumerate(wanted):
        if isinstance(size, int):
            if size < 1:
                return None
            target.append(size)
        elif size is not None and place < len(held) and held[place] == size:
            target.append(0)
        else:
            target.append(-1)
    return target if target.count(-1) <= 1 else None


def _numbers(value: ir.Value | None) -> list[Size | None] | None:
    """What a one-dimensional tensor of sizes (or a single size) holds; None for sizes that cannot be told, or if nothing can."""
    array = constant_array(value)
    if array is not None:
        return [int(size) for size in array.ravel()] if array.ndim <= 1 and array.dtype.kind == "i" else None
    node = value.producer() if value is not None else None
    if node is None or not is_standard(node):
        return None
    if node.op_type in PASSING:
        return _numbers(node.inputs[0])
    if node.op_type == "Concat":
        parts = [_numbers(part) for part in node.inputs]
        return None if any(part is None for part in parts) else [size for part in parts for size in part or ()]
    if node.op_type == "Shape":
        return _shape(node)
    if node.op_type in ("Gather", "Slice"):
        return _picked(node)
    return [None] if value is not None and value.shape is not None and all(size == 1 for size in value.shape) else None


def _shape(node: ir.Node) -> list[Size | None] | None:
    source = node.inputs[0]
    if source is None or source.shape is None:
        return None
    start, end = (node.attributes[name].as_int() if name in node.attributes else None for name in ("start", "end"))
    return list(_sizes(source)[start:end])


def _picked(node: ir.Node) -> list[Size | None] | None:
    sizes = _numbers(node.inputs[0])
    places = [constant_array(value) for value in node.inputs[1:]]
    if sizes is None or any(place is None or place.ndim > 1 for place in places):
        return None
    if node.op_type == "Gather":
        assert places[0] is not None
        wanted = [int(place) for place in places[0].ravel()]
        return [sizes[place] for place in wanted] if all(-len(sizes) <= place < len(sizes) for place in wanted) else None
    numbers = [int(place[0]) for place in places if place is not None and place.size == 1]
    if len(numbers) != len(places) or len(numbers) < 2 or (len(numbers) > 2 and numbers[2] not in (0, -1)):
        return None
    return sizes[slice(numbers[0], numbers[1], numbers[3] if len(numbers) > 3 else None)]


def _sizes(value: ir.Value) -> list[Size]:
    """Of a tensor with a shape; a dimension without a name has one of its own."""
    assert value.shape is not None
    return [size if isinstance(size, int) else size.value or f"{value.name}[{place}]" for place, size in enumerate(value.shape)]
