"""Operators that move channels: joined, divided, reordered, merged with other axes and taken apart again."""

from collections.abc import Callable, Mapping, Sequence
from math import prod

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.pruning.graph.channels import Channels, Kept, rank_of, size_of
from optkit.pruning.graph.layer_rules import Handled, Rule
from optkit.quantization.graphs import add_constant, add_node, constant_array, graph_of
from optkit.quantization.operators import attribute


def concat(node: ir.Node, channels: Channels) -> Handled:
    rank = rank_of(node.outputs[0]) or next((r for r in map(rank_of, node.inputs) if r), None)
    if rank is None:
        return set()
    joined = int(attribute(node, "axis", 0)) % rank
    handled: Handled = set()
    for axis in range(rank):
        found = [channels.axes(v).get(axis) for v in node.inputs]
        if all(f is None for f in found):
            continue
        if axis == joined:
            parts = [f if f is not None else _staying(v, axis) for f, v in zip(found, node.inputs, strict=True)]
            if any(p is None for p in parts):
                continue
            channels.give(node.outputs[0], axis, np.concatenate([p for p in parts if p is not None]))
        else:
            if any(f is None for f in found):
                continue
            tracked = [f for f in found if f is not None]
            for other in tracked[1:]:
                channels.tie(tracked[0], other)
            channels.give(node.outputs[0], axis, tracked[0])
        handled |= {(place, axis) for place, f in enumerate(found) if f is not None}
    return handled


def _staying(value: ir.Value | None, axis: int) -> Array | None:
    size = None if value is None else size_of(value, axis)
    return None if size is None else np.zeros(size, np.int64)


def split(node: ir.Node, channels: Channels) -> Handled:
    rank = rank_of(node.inputs[0])
    if rank is None:
        return set()
    divided = int(attribute(node, "axis", 0)) % rank
    given = node.inputs[1] if len(node.inputs) > 1 else None
    sizes = constant_array(given)
    handled: Handled = set()
    for axis, numbers in channels.axes(node.inputs[0]).items():
        if axis != divided:
            for output in node.outputs:
                channels.give(output, axis, numbers)
        else:
            if given is not None and sizes is None:
                continue
            each = -(-len(numbers) // len(node.outputs))
            ends = np.cumsum(sizes) if sizes is not None else np.minimum(np.arange(1, len(node.outputs) + 1) * each, len(numbers))
            parts = np.split(numbers, ends[:-1])
            for output, part in zip(node.outputs, parts, strict=True):
                channels.give(output, axis, part)
            channels.change(node, _split_sizes(parts))
        handled.add((0, axis))
    return handled


def _split_sizes(parts: Sequence[Array]) -> Callable[[ir.Node, Kept], None]:
    def change(node: ir.Node, kept: Kept) -> None:
        sizes = np.array([int(kept(part).sum()) for part in parts], np.int64)
        value = add_constant(graph_of(node), f"{node.name}_sizes", sizes)
        node.attributes.pop("num_outputs", None)
        if len(node.inputs) < 2:
            node.resize_inputs(2)
        node.replace_input_with(1, value)

    return change


def slice_(node: ir.Node, channels: Channels) -> Handled:
    """Constant bounds; along channels in steps of one."""
    rank = rank_of(node.inputs[0])
    bounds = [constant_array(v) for v in node.inputs[1:]]
    if rank is None or len(bounds) < 2 or any(b is None for b, v in zip(bounds, node.inputs[1:], strict=True) if v is not None):
        return set()
    starts, ends = ([int(i) for i in b] for b in bounds[:2] if b is not None)
    listed = bounds[2] if len(bounds) > 2 and bounds[2] is not None else np.arange(len(starts))
    steps = bounds[3] if len(bounds) > 3 and bounds[3] is not None else np.ones(len(starts), np.int64)
    cut = {int(a) % rank: i for i, a in enumerate(listed)}
    handled: Handled = set()
    for axis, numbers in channels.axes(node.inputs[0]).items():
        if axis in cut:
            place = cut[axis]
            if steps[place] != 1:
                continue
            first, last, _ = slice(starts[place], ends[place]).indices(len(numbers))
            if last <= first:
                continue
            channels.give(node.outputs[0], axis, numbers[first:last])
            channels.change(node, _slice_bounds(place, numbers[:first], numbers[first:last]))
        else:
            channels.give(node.outputs[0], axis, numbers)
        handled.add((0, axis))
    return handled


def _slice_bounds(place: int, before: Array, inside: Array) -> Callable[[ir.Node, Kept], None]:
    def change(node: ir.Node, kept: Kept) -> None:
        start = int(kept(before).sum())
        for at, number in ((1, start), (2, start + int(kept(inside).sum()))):
            array = constant_array(node.inputs[at])
            assert array is not None
            moved = array.copy()
            moved[place] = number
            node.replace_input_with(at, add_constant(graph_of(node), f"{node.name}_bounds", moved))

    return change


def gather(node: ir.Node, channels: Channels) -> Handled:
    """Axes beside the one that is picked from."""
    rank, picked = rank_of(node.inputs[0]), rank_of(node.inputs[1])
    if rank is None or picked is None or channels.axes(node.inputs[1]):
        return set()
    axis = int(attribute(node, "axis", 0)) % rank
    kept = {a: n for a, n in channels.axes(node.inputs[0]).items() if a != axis}
    for a, numbers in kept.items():
        channels.give(node.outputs[0], a if a < axis else a + picked - 1, numbers)
    return {(0, a) for a in kept}


def transpose(node: ir.Node, channels: Channels) -> Handled:
    axes = channels.axes(node.inputs[0])
    rank = rank_of(node.inputs[0])
    order = list(node.attributes["perm"].as_ints()) if "perm" in node.attributes else list(range(rank or 0))[::-1]
    if not order:
        return set()
    for axis, numbers in axes.items():
        channels.give(node.outputs[0], order.index(axis), numbers)
    return {(0, axis) for axis in axes}


def squeeze(node: ir.Node, channels: Channels) -> Handled:
    rank, axes = rank_of(node.inputs[0]), constant_array(node.inputs[1]) if len(node.inputs) > 1 else None
    if rank is None or axes is None:
        return set()
    gone = {int(a) % rank for a in axes.reshape(-1)}
    kept = {a: n for a, n in channels.axes(node.inputs[0]).items() if a not in gone}
    for a, numbers in kept.items():
        channels.give(node.outputs[0], a - sum(g < a for g in gone), numbers)
    return {(0, a) for a in kept}


def unsqueeze(node: ir.Node, channels: Channels) -> Handled:
    rank, axes = rank_of(node.inputs[0]), constant_array(node.inputs[1]) if len(node.inputs) > 1 else None
    if rank is None or axes is None:
        return set()
    total = rank + axes.size
    new = {int(a) % total for a in axes.reshape(-1)}
    places = [a for a in range(total) if a not in new]
    for a, numbers in channels.axes(node.inputs[0]).items():
        channels.give(node.outputs[0], places[a], numbers)
    return {(0, a) for a in channels.axes(node.inputs[0])}


def shape(node: ir.Node, channels: Channels) -> Handled:
    """Who asks for sizes of other axes does not mind."""
    rank = rank_of(node.inputs[0])
    if rank is None or "start" in node.attributes or "end" in node.attributes or node.outputs[0].is_graph_output():
        return set()
    asked: set[int] = set()
    for use in node.outputs[0].uses():
        indices = constant_array(use.node.inputs[1]) if use.node.op_type == "Gather" and use.idx == 0 else None
        if indices is None:
            return set()
        asked |= {int(i) % rank for i in indices.reshape(-1)}
    return {(0, a) for a in channels.axes(node.inputs[0]) if a not in asked}


def reshape(node: ir.Node, channels: Channels) -> Handled:
    target = _target_of(node.inputs[1])
    if target is None or attribute(node, "allowzero", 0) or node.inputs[0] is None or rank_of(node.inputs[0]) is None:
        return set()
    sizes = [size_of(node.inputs[0], a) for a in range(rank_of(node.inputs[0]) or 0)]
    return _regroup(node, channels, sizes, target)


def _target_of(value: ir.Value | None) -> list[int] | None:
    """The shape that a Reshape is told, with -1 for sizes that are worked out while it runs."""
    array = constant_array(value)
    if array is not None:
        return [int(t) for t in array.reshape(-1)]
    producer = None if value is None else value.producer()
    if producer is None or producer.op_type != "Concat":
        return None
    found: list[int] = []
    for piece in producer.inputs:
        held = constant_array(piece)
        size = None if piece is None else size_of(piece, 0)
        if held is None and size is None:
            return None
        found += [int(t) for t in held.reshape(-1)] if held is not None else [-1] * (size or 0)
    return found


def flatten(node: ir.Node, channels: Channels) -> Handled:
    rank = rank_of(node.inputs[0])
    if rank is None or node.inputs[0] is None:
        return set()
    axis = int(attribute(node, "axis", 1))
    axis = axis + rank if axis < 0 else axis
    sizes = [size_of(node.inputs[0], a) for a in range(rank)]
    handled: Handled = set()
    for part, out in ((range(axis), 0), (range(axis, rank), 1)):
        handled |= _merged(node, channels, [(a, sizes[a]) for a in part], [(out, None)])
    return handled


def _regroup(node: ir.Node, channels: Channels, sizes: Sequence[int | None], target: Sequence[int]) -> Handled:
    """Match runs of input axes with runs of output axes of the same extent: equal ones from both ends, the rest as one."""
    left: list[tuple[int, int | None]] = list(enumerate(sizes))
    right: list[tuple[int, int | None]] = [
        (i, (sizes[i] if i < len(sizes) else None) if t == 0 else None if t == -1 else t) for i, t in enumerate(target)
    ]
    handled: Handled = set()
    while left and right and ((target[right[0][0]] == 0 and left[0][0] == right[0][0]) or left[0][1] == right[0][1] is not None):
        handled |= _same_axis(node, channels, left.pop(0)[0], right.pop(0)[0], target)
    left = [each for each in left if each[1] != 1]
    right = [each for each in right if each[1] != 1]
    while left and right and left[-1][1] == right[-1][1] is not None:
        handled |= _same_axis(node, channels, left.pop()[0], right.pop()[0], target)
    while left and right and left[0][1] == right[0][1] is not None:
        handled |= _same_axis(node, channels, left.pop(0)[0], right.pop(0)[0], target)
    handled |= _merged(node, channels, *_equal_ends(left, [(o, s or channels.size(node.outputs[0], o)) for o, s in right]), target)
    read, given = channels.axes(node.inputs[0]), channels.axes(node.outputs[0])
    copied = [a for a, t in enumerate(target) if t == 0 and a in read and (a not in given or given[a] is not read[a])]
    return handled if not copied else set()  # a size copied from an axis that changes


Axes = Sequence[tuple[int, int | None]]


def _equal_ends(left: Axes, right: Axes) -> tuple[Axes, Axes]:
    """The shortest runs at the end with equal extents: rows of them are the same rows, however many there are. Else all of both."""
    for i in range(len(left) - 1, -1, -1):
        for j in range(len(right) - 1, -1, -1):
            sizes = [size for _, size in (*left[i:], *right[j:])]
            if None not in sizes and prod(s or 0 for _, s in left[i:]) == prod(s or 0 for _, s in right[j:]):
                return left[i:], right[j:]
    return left, right


def _same_axis(node: ir.Node, channels: Channels, axis: int, out: int, target: Sequence[int]) -> Handled:
    numbers = channels.axes(node.inputs[0]).get(axis)
    if numbers is None:
        return set()
    channels.give(node.outputs[0], out, numbers)
    if target[out] > 0 or (axis != out and target[out] == 0):
        channels.change(node, _target_size(out, numbers))
    return {(0, axis)}


def _merged(
    node: ir.Node,
    channels: Channels,
    left: Axes,
    right: Axes,
    target: Sequence[int] = (),
) -> Handled:
    """Axes of known sizes that become others of the same extent."""
    tracked = [(place, axis) for place, (axis, _) in enumerate(left) if axis in channels.axes(node.inputs[0])]
    if len(tracked) != 1 or any(size is None for _, size in left):
        return set()
    before = [size for _, size in left if size is not None]
    known = prod(size for _, size in right if size is not None)
    after = [size if size is not None else prod(before) // known for _, size in right]
    if prod(before) != prod(after) or sum(size is None for _, size in right) > 1:
        return set()
    place, axis = tracked[0]
    numbers = channels.axes(node.inputs[0])[axis]
    grid = np.broadcast_to(numbers.reshape([-1 if p == place else 1 for p in range(len(before))]), before).reshape(after)
    at = _carrier(grid)
    if at is None:
        return set()
    out, slices = right[at][0], np.moveaxis(grid, at, 0).reshape(after[at], -1)
    for column in slices.T[1:]:
        channels.tie(slices[:, 0], column)
    channels.give(node.outputs[0], out, slices[:, 0])
    if target and target[out] >= 0:
        channels.change(node, _target_size(out, slices[:, 0]))
    return {(0, axis)}


def _carrier(grid: Array) -> int | None:
    """The axis along which channels can go after a reshape: one that keeps them apart, else one of blocks, such as attention heads.

    Of [3, heads, size] it is the second: the 3 are queries, keys and values.
    """
    slices = [np.moveaxis(grid, at, 0).reshape(size, -1) for at, size in enumerate(grid.shape)]
    for at, rows in enumerate(slices):
        if len(rows) > 1 and (rows == rows[:, :1]).all():
            return at
    total = len(np.unique(grid))
    apart = [at for at, rows in enumerate(slices) if len(rows) > 1 and sum(len(np.unique(row)) for row in rows) == total]
    return next((at for at in apart if grid.shape[at] != 3), apart[0] if apart else None)


def _target_size(out: int, numbers: Array) -> Callable[[ir.Node, Kept], None]:
    def change(node: ir.Node, kept: Kept) -> None:
        size, target = int(kept(numbers).sum()), constant_array(node.inputs[1])
        if size == len(numbers):
            return
        if target is not None:
            node.replace_input_with(1, _with_size(node, target, out, size))
            return
        producer = node.inputs[1].producer()  # type: ignore[union-attr]
        assert producer is not None
        pieces, start = list(producer.inputs), 0
        for place, piece in enumerate(pieces):
            held = constant_array(piece)
            length = held.size if held is not None else 1 if piece is None else size_of(piece, 0) or 1
            if held is not None and start <= out < start + length:
                pieces[place] = _with_size(node, held, out - start, size)
            start += length
        node.replace_input_with(1, add_node(node, "Concat", pieces, f"{node.name}_target", axis=0).outputs[0])

    return change


def _with_size(node: ir.Node, sizes: Array, place: int, size: int) -> ir.Value:
    changed = sizes.copy()
    changed[place] = size
    return add_constant(graph_of(node), f"{node.name}_target", changed)


MOVE_RULES: Mapping[str, Rule] = {
    "Concat": concat,
    "Split": split,
    "Slice": slice_,
    "Gather": gather,
    "Transpose": transpose,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Shape": shape,
    "Reshape": reshape,
    "Flatten": flatten,
}
