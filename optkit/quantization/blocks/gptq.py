"""Integers learned from what a layer reads: the error of each weight is made up for by those still to round.

Frantar et al. 2022, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers". With H = mean(x xᵀ) of the
layer's inputs x, inputs are rounded in the order of falling energy (the paper's act order); the error of each is spread over the rest by
the Cholesky factor of H⁻¹. Scales and zero points are those of the group a weight lies in and are fixed beforehand, for the runtime knows
groups of neighbours only: for each group the grid of least squared error, weighted by the energy of its inputs.
"""

import numpy as np

from optkit.arrays import Array
from optkit.quantization.blocks.blocked import Blocked, Scheme, grouped, spread
from optkit.quantization.blocks.round_to_nearest import covering_grid, on_grid
from optkit.quantization.rounding.inverse_factor import inverse_factor

BLOCK = 128
"""Inputs whose errors are spread together."""
SHRINKS = tuple(np.linspace(1.0, 0.6, 9))
"""Of the range that a grid covers: what it clips costs less than what finer steps save."""


def gptq(rows: Array, moments: Array, scheme: Scheme) -> Blocked:
    """`rows` is float [rows, inputs], `moments` is H, [inputs, inputs]. Each row is never worse on the examples than nearest rounding."""
    nearest = on_grid(rows, *covering_grid(rows, scheme), scheme)
    scales, zeros = weighted_grid(rows, np.diagonal(moments), scheme)
    learned = Blocked(_in_order(rows, moments, scales, zeros, scheme), scales, zeros, scheme)
    errors = [row_errors(rows - each.real(), moments) for each in (nearest, learned)]
    gained = (errors[1] < errors[0])[:, None]
    return Blocked(
        np.where(gained, learned.integers, nearest.integers),
        np.where(gained, learned.scales, nearest.scales),
        np.where(gained, learned.zeros, nearest.zeros),
        scheme,
    )


def weighted_grid(rows: Array, energy: Array, scheme: Scheme) -> tuple[Array, Array]:
    """The grid of each group that leaves the least error Σ energy · (weight - rounded)², among covering grids shrunk."""
    weights = grouped(np.broadcast_to(energy.astype(np.float32), (1, len(energy))), scheme.size)
    best: tuple[Array, Array, Array] | None = None
    for shrink in SHRINKS:
        scales, zeros = covering_grid(rows * np.float32(shrink), scheme)
        real = on_grid(rows, scales, zeros, scheme).real()
        error = (weights * grouped((rows - real) ** 2, scheme.size)).sum(axis=-1)
        if best is None:
            best = error, scales, zeros
            continue
        gained = error < best[0]
        best = np.where(gained, error, best[0]), np.where(gained, scales, best[1]), np.where(gained, zeros, best[2])
    assert best is not None
    return best[1], best[2]


def row_errors(difference: Array, moments: Array) -> Array:
    """Mean squared error of each output over the examples: d H dᵀ."""
    wide = difference.astype(np.float64)
    return np.asarray(np.einsum("ok,ok->o", wide @ moments.astype(np.float64), wide))


def _in_order(rows: Array, moments: Array, scales: Array, zeros: Array, scheme: Scheme) -> Array:
    count = rows.shape[1]
    order = np.argsort(-np.diagonal(moments), kind="stable")
    work = rows[:, order].astype(np.float64)
    steps = spread(scales, scheme.size, count)[:, order].astype(np.float64)
    offsets = spread(zeros, scheme.size, count)[:, order].astype(np.float64)
    factor = inverse_factor(moments[np.ix_(order, order)][None])[0]
    integers = np.zeros(rows.shape, np.uint8)
    for start in range(0, count, BLOCK):
        end = min(start + BLOCK, count)
        errors = np.zeros((len(rows), end - start))
        for k in range(start, end):
            chosen = np.clip(np.rint(work[:, k] / steps[:, k] + offsets[:, k]), 0, scheme.top)
            integers[:, order[k]] = chosen
            errors[:, k - start] = (work[:, k] - (chosen - offsets[:, k]) * steps[:, k]) / factor[k, k]
            work[:, k + 1 : end] -= np.outer(errors[:, k - start], factor[k, k + 1 : end])
        work[:, end:] -= errors @ factor[start:end, end:]
    return integers
