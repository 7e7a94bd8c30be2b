"""Grids that end where a Clip ends, so that saturating to them is the Clip and ONNX Runtime drops it.

It does so only where the grid lies within the bounds: one whose rounded zero point moves an end over a bound by half a step keeps the
Clip, and with it the convolution before it, in float.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import onnx_ir as ir

from optkit.quantization.affine import Grid
from optkit.quantization.graphs import all_graphs, constant_array


def within_clips(model: ir.Model, grids: Mapping[str, Grid], names: Iterable[str]) -> dict[str, Grid]:
    """The same grids, those of what the Clips among the tensors `names` give no wider than their bounds."""
    fitted, wanted = dict(grids), set(names)
    for node in (n for g in all_graphs(model) for n in g):
        name = str(node.outputs[0].name) if len(node.outputs) == 1 else ""
        if node.op_type == "Clip" and name in wanted and name in grids:
            low, high = (_bound(node, place, default) for place, default in ((1, -np.inf), (2, np.inf)))
            fitted[name] = within(grids[name], low, high)
    return fitted


def within(grid: Grid, low: float, high: float) -> Grid:
    """The grid made finer, if need be, until it lies within [low, high]; both must hold zero."""
    if not low <= 0 <= high:
        return grid
    scale, zero = np.float32(grid.scale), grid.zero_point
    for end, steps in ((low, -zero), (high, 255 - zero)):
        if steps and np.isfinite(end) and abs(steps * scale) > abs(np.float32(end)):
            scale = min(scale, np.float32(abs(end) / abs(steps)))
            while abs(np.float32(steps) * scale) > abs(np.float32(end)):
                scale = np.nextafter(scale, np.float32(0))
    return Grid(float(scale), zero) if scale > 0 else grid


def _bound(node: ir.Node, place: int, default: float) -> float:
    array = constant_array(node.inputs[place]) if len(node.inputs) > place and node.inputs[place] is not None else None
    return default if array is None else float(array.reshape(-1)[0])
