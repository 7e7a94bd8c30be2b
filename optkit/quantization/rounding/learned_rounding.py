"""Which way to round each weight, learned from what its layer reads: an error made in one is made up for by those still to round.

Frantar et al. 2022, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers": weights are rounded one input
after the other; with H = mean(x xᵀ) of the layer's inputs x, the error of each is spread over the rest by the Cholesky factor of H⁻¹.
Here two weights that a CPU adds in 16 bits (saturation.py) are also held within what fits while the rest can still make up for it.
The outcome is never worse on the examples than rounding to nearest: each output channel keeps the better of both.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.affine import Grid, quantize_weight
from optkit.quantization.calibration.patch_moments import Moments, as_rows, largest_patch, patch_moments
from optkit.quantization.calibration.portions import portions
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.channels.divide import Division, matrix_of
from optkit.quantization.graphs import constant_array
from optkit.quantization.integer_graph.saturation import LARGEST_PAIR, fit_pairs, has_pairs
from optkit.quantization.operators import attribute, channel_axis
from optkit.quantization.rounding.bias import can_shift
from optkit.quantization.rounding.inverse_factor import inverse_factor

LARGEST_INPUT = 4096
"""Weights per output: H has that many squared elements. Layers with more are left to nearest rounding."""
BLOCK = 128
"""Columns whose errors are spread together."""
BYTES_AT_ONCE = 256 << 20
"""Of moments held at a time; more layers than that are done in several runs over the examples."""


class Rounded(NamedTuple):
    """int8 in the node's own layout, float32 scales, one per output channel, and the mean of what each output is a sum of, [group, K]."""

    integers: Array
    scale: Array
    mean: Array | None = None


def round_weights(
    model: ir.Model,
    nodes: Iterable[ir.Node],
    watcher: Watcher,
    grids: Mapping[str, Grid],
    *,
    divisions: Mapping[str, Division] | None = None,
    rounds_inputs: bool = True,
    portable: bool = True,
) -> dict[str, Rounded]:
    """What becomes of each weight, by node name; nodes that are too large are left out.

    `grids` gives the uint8 grid of each tensor that is quantized with a known range; other inputs are taken to be rounded as they come,
    unless not `rounds_inputs`. `divisions` says, by tensor, how its channels will be divided: the integers are then those of the weight
    that goes with it. `portable` keeps pair sums within 16 bits.
    """
    chosen = [n for n in nodes if largest_patch(n) <= LARGEST_INPUT]
    found: dict[str, Rounded] = {}
    for part in portions(chosen, _moment_bytes, BYTES_AT_ONCE):
        moments = patch_moments(model, part, watcher)
        for node in part:
            weight, seen = constant_array(node.inputs[1]), moments.get(str(node.name))
            if weight is None or seen is None or not np.isfinite(seen.second).all() or not np.isfinite(weight).all():
                continue
            source = str(node.inputs[0].name)  # type: ignore[union-attr]
            grid, division = grids.get(source), (divisions or {}).get(source)
            if division is not None:
                seen = seen.scaled(division.factor())
                weight = division.weight(matrix_of(node)) if node.op_type == "MatMul" else _divided_gemm(node, division)
            step = 0.0 if not rounds_inputs else grid.scale if grid is not None and division is None else seen.step()
            integers, scale = learn_rounding(node, weight, energy(node, seen, step), portable=portable)
            found[str(node.name)] = Rounded(integers, scale, seen.mean)
            watcher.progress("learning how to round", len(found), len(chosen))
    return found


def _divided_gemm(node: ir.Node, division: Division) -> Array:
    weight = division.weight(matrix_of(node))
    return np.ascontiguousarray(weight.T) if attribute(node, "transB", 0) else weight


def energy(node: ir.Node, seen: Moments, step: float = 0.0) -> Array:
    """[group, K, K] float64: d of it dᵀ is the mean squared error of an output whose weights are off by d.

    Where a bias takes back the error's mean (bias.py) only what varies counts. `step` is that of the input's grid.
    """
    held = seen.covariance() if can_shift(node) else seen.second
    return believed(held.astype(np.float64), seen.rows, step**2)


def believed(held: Array, rows: int, square_step: float) -> Array:
    """Moments [group, K, K] of so many rows as far as they are believed, changed in place: what K inputs seem to have in common in few
    rows is partly chance. `square_step` of the grid that the inputs will be rounded to adds its noise.
    """
    each = np.arange(held.shape[-1])
    own = np.maximum(held[:, each, each], 0) + square_step / 12
    held *= rows / (rows + len(each))
    held[:, each, each] = own
    return held


def learn_rounding(node: ir.Node, weight: Array, moments: Array, *, portable: bool = True) -> tuple[Array, Array]:
    """int8 integers and scales for one weight. `moments` is [group, K, K]: mean(x xᵀ) of the K inputs of one output, as ordered by
    `as_rows`.
    """
    nearest, scale = quantize_weight(weight, channel_axis(node))
    paired = portable and has_pairs(node, weight.shape)
    fallback, wider = fit_pairs(node, weight, nearest, scale) if paired else (nearest, scale)
    rows = as_rows(node, weight).astype(np.float64)
    steps = [scale, wider] if (wider != scale).any() else [scale]
    parts = [(rows / s[:, None]).reshape(len(moments), -1, rows.shape[1]) for s in steps]
    learned = round_in_order(np.concatenate(parts, axis=1), moments, paired)
    tries = [(as_rows(node, fallback), wider)]
    tries += [(part.reshape(rows.shape), s) for part, s in zip(np.split(learned, len(steps), axis=1), steps, strict=True)]
    errors = np.stack([row_errors(rows - integers * s.astype(np.float64)[:, None], moments) for integers, s in tries])
    best = np.argmin(errors, axis=0)  # the first of equals: nearest rounding where nothing is gained
    each = np.arange(len(rows))
    integers = np.stack([t[0] for t in tries])[best, each]
    return from_rows(node, integers.astype(np.int8), weight.shape), np.stack([t[1] for t in tries])[best, each]


def row_errors(difference: Array, moments: Array) -> Array:
    """Mean squared error of each output over the examples: d H dᵀ."""
    parts = difference.reshape(len(moments), -1, difference.shape[1])
    return np.asarray(np.einsum("gok,gkl,gol->go", parts, moments, parts, optimize=True)).reshape(-1)


def from_rows(node: ir.Node, rows: Array, shape: tuple[int, ...]) -> Array:
    """What `as_rows` was made from."""
    axis = channel_axis(node)
    moved = [shape[axis], *(d for a, d in enumerate(shape) if a != axis)]
    if len(moved) > 2:
        rows = np.moveaxis(rows.reshape(moved[0], *moved[2:], moved[1]), -1, 1)
    return np.ascontiguousarray(np.moveaxis(rows.reshape(moved), 0, axis))


def round_in_order(rows: Array, moments: Array, paired: bool, near: Array | None = None) -> Array:
    """GPTQ of rows [group, output, K] in steps of their scales, all side by side; returns int16.

    `paired` holds pairs within what fits 16 bits; `near` are integers from which none may move by more than 1.
    """
    work = np.ascontiguousarray(rows)
    count = work.shape[2]
    spread = inverse_factor(moments)
    integers = np.zeros(work.shape, np.int16)
    low, high = np.array(-127), np.array(127)
    for start in range(0, count, BLOCK):
        end = min(start + BLOCK, count)
        errors = np.zeros((*work.shape[:2], end - start))
        for k in range(start, end):
            if near is not None:
                low, high = np.maximum(near[..., k] - 1, -127), np.minimum(near[..., k] + 1, 127)
            wanted = np.clip(work[..., k], low, high)
            if paired and k % 2:
                found = _beside(wanted, integers[..., k - 1])
            elif paired and k + 1 < count:
                found = _first_of_two(wanted, work[..., k + 1])
            else:
                found = np.rint(wanted)
            integers[..., k] = np.clip(found, low, high)
            errors[..., k - start] = (work[..., k] - integers[..., k]) / spread[:, k, k, None]
            work[..., k + 1 : end] -= errors[..., k - start, None] * spread[:, None, k, k + 1 : end]
        work[..., end:] -= errors @ spread[:, start:end, end:]
    return integers


def _first_of_two(wanted: Array, next_wanted: Array) -> Array:
    """Where both together are too large, each gives way by half."""
    excess = np.maximum(np.abs(wanted + next_wanted) - LARGEST_PAIR, 0) / 2
    excess = np.where(wanted * next_wanted > 0, np.minimum(excess, np.abs(wanted)), 0)
    return np.asarray(np.clip(np.rint(wanted - np.sign(wanted) * excess), -127, 127))


def _beside(wanted: Array, first: Array) -> Array:
    """The second of a pair, within what its first leaves."""
    high = np.where(first > 0, np.minimum(127, LARGEST_PAIR - first), 127)
    low = np.where(first < 0, np.maximum(-127, -LARGEST_PAIR - first), -127)
    return np.asarray(np.clip(np.rint(wanted), low, high))


def _moment_bytes(node: ir.Node) -> int:
    return 4 * largest_patch(node) ** 2 * int(attribute(node, "group", 1) if node.op_type == "Conv" else 1)
