"""Layers with so many weights per output that moments of what they read would not fit into memory: some rows are kept instead.

Ridge regression gives the same numbers either way: (XᵀX + r I)⁻¹ XᵀR = Xᵀ(XXᵀ + r I)⁻¹R, and XXᵀ is as small as the rows are few.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optkit.arrays import Array

MOST = 2048
"""Rows."""
BYTES = 1 << 29
"""That rows of one layer may occupy."""
AT_ONCE = 4096
"""Columns that are multiplied together in float64."""


def rows_for(columns: int) -> int:
    """How many rows of so many columns are kept."""
    return min(MOST, BYTES // (4 * columns))


@dataclass(frozen=True)
class KeptRows:
    """What a layer read, [rows, K] float32, and what it should have given, [rows, outputs]."""

    x: Array
    y: Array

    @property
    def count(self) -> int:
        return len(self.x)

    def finite(self) -> bool:
        return bool(np.isfinite(self.x).all() and np.isfinite(self.y).all())


def change_and_bias(weight: Array, one: KeptRows, other: KeptRows, ridges: Sequence[float], *, centred: bool) -> tuple[Array, Array]:
    """What to add to the weights [outputs, K], and what the outputs lack on average afterwards, without any bias.

    As `best_change` has it: the ridge is the one that serves each half best when learned from the other, relative to the mean square of
    the inputs (centred: their variance), and nothing is added where every ridge does harm.
    """
    x, y = np.concatenate([one.x, other.x]), np.concatenate([one.y, other.y]).astype(np.float64)
    problem = _Problem(_times(x, x), y - _times(x, weight), x.shape[1], centred)
    first, second = np.arange(one.count), np.arange(one.count, len(x))
    scores = [sum(problem.gain(a, b, problem.solve(a, ridge)) for a, b in ((first, second), (second, first))) for ridge in ridges]
    best, change = int(np.argmax(scores)), np.zeros_like(weight)
    if scores[best] > 0:
        change = problem.solve(np.arange(len(x)), ridges[best]).T @ x
    return change, y.mean(0) - (weight + change) @ x.mean(0, dtype=np.float64)


@dataclass(frozen=True)
class _Problem:
    """Rows by their products with each other, and what the layer's outputs lack on them."""

    products: Array
    missing: Array
    columns: int
    centred: bool

    def solve(self, rows: Array, ridge: float) -> Array:
        """[rows, outputs]: how much of each row goes into the weights."""
        square, count = self._between(rows, rows), len(rows)
        mean = float(np.trace(square)) / count / self.columns
        found = np.linalg.solve(square / count + (ridge * mean + 1e-12) * np.eye(count), self._wanted(rows)) / count
        return np.asarray(found - found.mean(0) if self.centred else found)

    def gain(self, learned: Array, held: Array, found: Array) -> float:
        """How much less squared error is left on rows that nothing was learned from."""
        given = self._between(held, learned) @ found
        return float(2 * (given * self._wanted(held)).sum() - (given**2).sum()) / len(held)

    def _between(self, one: Array, other: Array) -> Array:
        """Products of rows; centred, of rows less their mean."""
        found = self.products[np.ix_(one, other)]
        return np.asarray(found - found.mean(0) - found.mean(1)[:, None] + found.mean() if self.centred else found)

    def _wanted(self, rows: Array) -> Array:
        return np.asarray(self.missing[rows] - self.missing[rows].mean(0) if self.centred else self.missing[rows])


def _times(x: Array, weight: Array) -> Array:
    """x weightᵀ in float64."""
    found = np.zeros((len(x), len(weight)))
    for start in range(0, x.shape[1], AT_ONCE):
        found += x[:, start : start + AT_ONCE].astype(np.float64) @ weight[:, start : start + AT_ONCE].astype(np.float64).T
    return found
