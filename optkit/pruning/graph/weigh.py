"""What the removal of units does: in its own layers, by least squares, and from there at the model's outputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.errors import OptkitError
from optkit.progress import Progress
from optkit.pruning.graph.allocate import Competitor, steps_of
from optkit.pruning.graph.cut_out import cut_out, put
from optkit.pruning.graph.eliminate import Order, Reader, find_order, magnitude_order, refitted
from optkit.pruning.graph.groups import Family, Groups, weight_axes
from optkit.pruning.graph.layer_rules import shape_of
from optkit.pruning.graph.moments import LARGEST, Moments, gather_moments
from optkit.pruning.graph.refit import bias_of
from optkit.pruning.graph.rows import columns_of, weight_from_rows, weight_rows
from optkit.quantization.calibration.portions import portions
from optkit.quantization.calibration.watched import open_watched
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.fidelity.reference import Reference
from optkit.quantization.graphs import constant_array

BYTES_AT_ONCE = 1 << 29
"""Of moments; layers with more are done in several runs over the examples."""
PROBED = 0.5
"""Share of a family's steps that is taken out to see how much that shows."""


@dataclass(frozen=True)
class Limits:
    """How far pruning may go in one family."""

    round_to: int = 8
    least_kept: float = 0.1


def find_readers(model: ir.Model, groups: Groups, watcher: Watcher) -> dict[str, Reader]:
    """By node name, the layers that read channels which may go; those with very many weights per output are left out."""
    wanted = {name for family in groups.families for name in family.consumers}
    nodes = [n for n in model.graph if n.name in wanted and columns_count(n) <= LARGEST]
    readers: dict[str, Reader] = {}
    for portion in portions(nodes, _moment_bytes, BYTES_AT_ONCE):
        found = gather_moments(model, portion, watcher)
        for node in portion:
            weight, moments = constant_array(node.inputs[1]), found.get(str(node.name))
            if weight is None or moments is None:
                continue
            both = moments[0] + moments[1]
            covariance = (Moments.raw(both) if bias_of(node) is None else Moments.centred(both))[0][0]
            if np.isfinite(covariance).all() and np.isfinite(weight).all():
                rows = weight_rows(node, weight.astype(np.float64))[0]
                readers[str(node.name)] = Reader(rows, covariance, columns_of(node, groups.read[str(node.name)]))
    return readers


def columns_count(node: ir.Node) -> int:
    """Weights per output; of a ConvTranspose, channels it reads."""
    shape = shape_of(node.inputs[1])
    assert shape is not None
    return int(np.prod(shape)) // shape[weight_axes(node)[1] or 0] if node.op_type != "ConvTranspose" else shape[0]


def find_orders(model: ir.Model, groups: Groups, readers: Mapping[str, Reader], *, progress: Progress) -> list[Order]:
    """For each family by least squares; by magnitude where no layer that reads it could be looked at (`readers` empty: everywhere)."""
    orders = []
    for number, family in enumerate(groups.families):
        own = [readers[name] for name in family.consumers if name in readers]
        orders.append(find_order(family.units, own) if own else magnitude_order(family.units, _makers(model, groups, family)))
        progress("ranking channels", number + 1, len(groups.families))
    return orders


def _makers(model: ir.Model, groups: Groups, family: Family) -> dict[str, tuple[Array, Array]]:
    """Weights that make the units, output channels first, and the unit of each output channel."""
    found = {}
    for node in model.graph:
        weight = constant_array(node.inputs[1]) if len(node.inputs) > 1 else None
        held = groups.axes.get(str(node.inputs[1].name)) if weight is not None and node.inputs[1] is not None else None
        out = weight_axes(node)[1] if held and weight is not None and weight.ndim > 1 else None
        if weight is not None and held and out is not None and out in held and family.units[0] in held[out]:
            found[str(node.name)] = np.moveaxis(weight.astype(np.float64), out, 0).reshape(weight.shape[out], -1), held[out]
    return found


def find_competitors(
    model: ir.Model,
    groups: Groups,
    orders: Sequence[Order],
    readers: Mapping[str, Reader],
    reference: Reference,
    limits: Limits,
    *,
    feeds: int,
    threads: int,
    progress: Progress,
) -> list[Competitor]:
    """Each family with how much the errors of its layers show at the outputs: half of it removed, on `feeds` examples."""
    found = []
    for number, (family, order) in enumerate(zip(groups.families, orders, strict=True)):
        steps = tuple(n for n in steps_of(family, limits.round_to, limits.least_kept) if n < len(order.cost))
        weight = 1.0
        if len(steps) > 1:
            count = steps[max(1, round(PROBED * (len(steps) - 1)))]
            noise = _noise(model, groups, order.units[:count], family, readers, reference, feeds, threads)
            weight = noise / max(float(order.cost[count]), 1e-9)
        found.append(Competitor(family, order, weight, steps))
        progress("weighing layers", number + 1, len(groups.families))
    return found


def _noise(
    model: ir.Model,
    groups: Groups,
    gone: Array,
    family: Family,
    readers: Mapping[str, Reader],
    reference: Reference,
    feeds: int,
    threads: int,
) -> float:
    """At the outputs, relative to what varies in them, with these units gone and the layers that read them solved again."""
    made = cut_out(model, groups, gone)
    nodes = {str(n.name): n for n in made.graph}
    for name in family.consumers:
        node, reader = nodes[name], readers.get(name)
        if reader is None or len(list(node.inputs[1].uses())) > 1:  # type: ignore[union-attr]
            continue
        value = node.inputs[1]
        shape, held = shape_of(value), groups.axes[str(value.name)]  # type: ignore[union-attr]
        out = weight_axes(node)[1]
        rows = refitted(reader, gone)
        if out is not None and out in held:
            rows = rows[np.repeat(~np.isin(held[out], gone), len(rows) // len(held[out]))]
        assert shape is not None
        assert value is not None
        assert value.dtype is not None
        put(value, weight_from_rows(node, rows[None], shape).astype(value.dtype.numpy()))
    try:
        sqnr = reference.compare(open_watched(made, threads), feeds).sqnr
    except OptkitError:
        return np.inf
    return float(10 ** (-sqnr / 10)) if np.isfinite(sqnr) else np.inf


def _moment_bytes(node: ir.Node) -> int:
    return 16 * columns_count(node) ** 2
