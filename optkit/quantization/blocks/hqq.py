"""Grids for which few weights are far off, found without data.

Badri and Shaji 2023, "Half-Quadratic Quantization of Large Machine Learning Models": the zero point minimizes the sum of |error|^0.7,
which forgives outliers, by alternating between the errors that are let stand (a shrinkage) and the zero point that fits the rest.
ONNX Runtime's CPU kernels want whole zero points (those with fractions are 25 times slower), so the zero point is found with fractions,
rounded, and the scale then fitted to the integers in the same way. A group keeps the grid of nearest rounding where nothing is gained.
"""

import numpy as np

from optkit.arrays import Array
from optkit.quantization.blocks.blocked import Blocked, Scheme, grouped, ungrouped
from optkit.quantization.blocks.round_to_nearest import covering_grid, on_grid

POWER = 0.7
STIFFNESS = 10.0
"""Of the tie between an error and its shrunken copy (β in the paper), with errors counted in steps of the grid."""
GROWTH = 1.01
STEPS = 20
ROWS_AT_ONCE = 1 << 22
"""Weights worked on together, so that temporary arrays stay small."""


def half_quadratic(rows: Array, scheme: Scheme) -> Blocked:
    """`rows` is float [rows, inputs]."""
    step = max(1, ROWS_AT_ONCE // rows.shape[1])
    parts = [_solve(rows[i : i + step].astype(np.float32, copy=False), scheme) for i in range(0, len(rows), step)]
    return Blocked(
        np.concatenate([p.integers for p in parts]),
        np.concatenate([p.scales for p in parts]),
        np.concatenate([p.zeros for p in parts]),
        scheme,
    )


def _solve(rows: Array, scheme: Scheme) -> Blocked:
    scales, zeros = covering_grid(rows, scheme)
    nearest = on_grid(rows, scales, zeros, scheme)
    groups = grouped(rows, scheme.size)
    fitted = zeros if scheme.symmetric else _fit_zeros(groups, scales, zeros, scheme)
    better = on_grid(rows, _fit_scales(groups, scales, fitted, scheme), fitted, scheme)
    costs = [_cost(groups, grouped(each.real(), scheme.size)) for each in (nearest, better)]
    gained = (costs[1] < costs[0])[..., None]
    integers = np.where(gained, grouped(better.integers, scheme.size), grouped(nearest.integers, scheme.size))
    return Blocked(
        ungrouped(integers, rows.shape[1]),
        np.where(gained[..., 0], better.scales, nearest.scales),
        np.where(gained[..., 0], better.zeros, nearest.zeros),
        scheme,
    )


def _fit_zeros(groups: Array, scales: Array, zeros: Array, scheme: Scheme) -> Array:
    steps, zero = scales[..., None], zeros[..., None].astype(np.float32)
    stiffness = STIFFNESS
    for _ in range(STEPS):
        integers = np.clip(np.rint(groups / steps + zero), 0, scheme.top)
        stands = _shrunken(groups / steps - (integers - zero), stiffness)
        zero = (integers - groups / steps + stands).mean(axis=-1, keepdims=True)
        stiffness *= GROWTH
    return np.clip(np.rint(zero[..., 0]), 0, scheme.top).astype(np.uint8)


def _fit_scales(groups: Array, scales: Array, zeros: Array, scheme: Scheme) -> Array:
    steps, zero = scales[..., None], zeros[..., None].astype(np.float32)
    stiffness = STIFFNESS
    for _ in range(STEPS):
        centred = np.clip(np.rint(groups / steps + zero), 0, scheme.top) - zero
        stands = _shrunken(groups / steps - centred, stiffness) * steps
        energy = (centred**2).sum(axis=-1, keepdims=True)
        fitted = ((groups - stands) * centred).sum(axis=-1, keepdims=True) / np.maximum(energy, 1e-12)
        steps = np.where(energy > 0, fitted, steps)
        stiffness *= GROWTH
    return scheme.rounded(steps[..., 0])


def _shrunken(errors: Array, stiffness: float) -> Array:
    """The errors that the power lets stand: |e| less |e|^(p-1) / β, or nothing."""
    size = np.abs(errors)
    return np.asarray(np.sign(errors) * np.maximum(size - np.maximum(size, 1e-8) ** (POWER - 1) / stiffness, 0))


def _cost(groups: Array, real: Array) -> Array:
    return np.asarray((np.abs(groups - real) ** POWER).sum(axis=-1))
