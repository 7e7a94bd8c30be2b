"""Divide tensors into groups whose values fit into memory together, before any of them is computed."""

from collections.abc import Sequence
from math import ceil, prod

import onnx_ir as ir

from optkit.errors import UsageError
from optkit.quantization.calibration.feeds import Feeds
from optkit.quantization.calibration.watched import open_watched
from optkit.runtimes import full_feeds
from optkit.runtimes.memory import peak, resident, return_freed
from optkit.units import show_bytes

COPIES = 3
"""Of the tensor at hand, that folding it into statistics may make."""
RESERVE = 0.05
"""Share of the limit left for what the allocators do not give back."""


def groups_within(model: ir.Model, names: Sequence[str], examples: Feeds, threads: int, limit: int) -> list[list[str]]:
    """Groups of `names`, in their order, each of whose values fit into `limit` bytes beside the process, the model and its own work.

    Sizes are those of the tensors on the first of `examples`. Raises UsageError when one tensor alone does not fit.
    """
    return_freed()
    opening, occupied, sizes = _look(model, names, examples, threads)
    room = int(limit * (1 - RESERVE)) - occupied
    largest = max(sizes, key=sizes.__getitem__, default=None)
    least = max(opening, occupied + (1 + COPIES) * (sizes[largest] if largest else 0))
    if least > limit * (1 - RESERVE):
        tensor = f", and its largest tensor ({largest}) takes {show_bytes(sizes[largest])}" if largest else ""
        raise UsageError(
            f"max-memory is too little: running the model takes {show_bytes(max(opening, occupied))} of {show_bytes(limit)}{tensor}",
            hint=f"give at least {_rounded_up(least / (1 - RESERVE))}",
        )
    groups: list[list[str]] = [[]]
    for name in names:
        group = [*groups[-1], name]
        if sum(sizes[n] for n in group) + COPIES * max(sizes[n] for n in group) > room:
            groups.append([])
        groups[-1].append(name)
    return [group for group in groups if group]


def _look(model: ir.Model, names: Sequence[str], examples: Feeds, threads: int) -> tuple[int, int, dict[str, int]]:
    """Bytes that this process has at most while it opens the model, and while it runs it, and bytes of each tensor.

    Only shapes are handed out; an arena keeps what a run takes, so that it can be seen afterwards.
    """
    probe = model.clone()
    inputs = {i.name for i in probe.graph.inputs}
    values = {v.name: v for n in probe.graph for v in n.outputs if v.name in set(names) - inputs}
    shapes = {str(name): ir.node("Shape", [value]) for name, value in values.items()}
    for i, node in enumerate(shapes.values()):
        node.outputs[0].name = f"optkit_shape_{i}"
        node.outputs[0].dtype = ir.DataType.INT64
        node.outputs[0].shape = ir.Shape([None])
    probe.graph.extend(shapes.values())
    kept = [v for v in probe.graph.outputs if v.name in inputs]
    probe.graph.outputs.clear()
    probe.graph.outputs.extend([*kept, *(node.outputs[0] for node in shapes.values())])
    before = peak()
    session = open_watched(probe, threads, shapes_first=True) if shapes else None
    found = session.run(next(full_feeds(session, examples))) if session is not None else {}
    sizes = {name: int(prod(found[str(node.outputs[0].name)].tolist())) * _width(values[name]) for name, node in shapes.items()}
    after = peak()
    return after if after > before else 0, resident(), {name: sizes.get(name, 0) for name in names}


def _width(value: ir.Value) -> int:
    return ceil(value.dtype.itemsize) if value.dtype is not None else 4


def _rounded_up(size: float) -> str:
    step = 10 ** max(0, len(str(int(size))) - 2)
    return show_bytes(-(-int(size) // step) * step)
