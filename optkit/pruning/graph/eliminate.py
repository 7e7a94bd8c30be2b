"""In which order the units of a family go, and what that costs when the weights that stay make up for it as well as they can.

With H the covariance of what a layer reads and W its weights, leaving out inputs S and solving the others again by least squares costs
tr(W_S ((H⁻¹)_SS)⁻¹ W_Sᵀ): Hassibi and Stork 1993, "Optimal Brain Surgeon", for whole channels. After each step H⁻¹ and W are those
without S. Where several layers read the units, their costs are added, each relative to the energy of its layer's outputs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from optkit.arrays import Array

DAMPING = 0.01
"""Of H's mean diagonal, added to it: directions that few examples show are not taken for free."""
STEPS = 64
"""Units of a large family go in so many portions, so that H⁻¹ is not worked out anew for each."""


@dataclass(frozen=True)
class Reader:
    """A layer that reads a family."""

    weight: Array
    """[outputs, K]"""
    covariance: Array
    """[K, K]"""
    columns: Array
    """The unit of each of the K columns."""

    def damped(self) -> Array:
        mean = float(np.trace(self.covariance)) / len(self.covariance)
        return self.covariance + (DAMPING * mean + 1e-12) * np.eye(len(self.covariance))

    def energy(self) -> float:
        """Of its outputs, which the errors are held against."""
        return float(np.einsum("ok,kl,ol->", self.weight, self.covariance, self.weight, optimize=True)) + 1e-12


@dataclass(frozen=True)
class Order:
    """Units from the first to go, and the cost when so many are gone: `cost[n]` for n units, from 0 to all but the last portion's."""

    units: Array
    cost: Array


def find_order(units: Array, readers: Sequence[Reader]) -> Order:
    """Greedy: the unit that costs least goes first, the others' costs are worked out again."""
    work = [_Work(r, units) for r in readers]
    left = list(range(len(units)))
    portion = max(1, len(units) // STEPS)
    order: list[int] = []
    costs = [0.0]
    while len(left) > portion:
        each = sum((w.costs(left) for w in work), np.zeros(len(left)))
        chosen = [left[i] for i in np.argsort(each, kind="stable")[:portion]]
        rise = sum(w.remove(chosen) for w in work)
        costs += [costs[-1] + rise * (i + 1) / portion for i in range(portion)]
        order += chosen
        left = [u for u in left if u not in set(chosen)]
    return Order(units[[*order, *left]], np.array(costs))


class _Work:
    """H⁻¹ and W of one reader, without what has gone."""

    def __init__(self, reader: Reader, units: Array) -> None:
        self.inverse = np.linalg.inv(reader.damped())
        self.weight = reader.weight.astype(np.float64).copy()
        self.energy = reader.energy()
        self.places = np.stack([np.flatnonzero(reader.columns == unit) for unit in units])  # [unit, columns of it]
        self.kept = np.arange(len(self.inverse))

    def costs(self, left: Sequence[int]) -> Array:
        """Of leaving out each unit alone."""
        places = self.places[left]
        blocks = self.inverse[places[:, :, None], places[:, None, :]]
        weights = self.weight[:, places].transpose(1, 2, 0)  # [unit, columns, outputs]
        if blocks.shape[1] == 1:
            return np.asarray((weights[:, 0] ** 2).sum(-1) / blocks[:, 0, 0] / self.energy)
        solved = np.linalg.solve(blocks, weights)
        return np.asarray((solved * weights).sum((1, 2)) / self.energy)

    def remove(self, chosen: Sequence[int]) -> float:
        """Leave units out together; returns what it costs."""
        at = self.places[chosen].reshape(-1)
        block, across, weight = self.inverse[np.ix_(at, at)], self.inverse[at], self.weight[:, at]
        share = np.linalg.solve(block, across)  # [columns, K]
        cost = float((np.linalg.solve(block, weight.T) * weight.T).sum()) / self.energy
        self.weight -= weight @ share
        self.inverse -= across.T @ share
        self.inverse[at, at] = 1.0  # what is gone must not make a block singular; its weights are 0
        self.weight[:, at] = 0
        return cost


def refitted(reader: Reader, gone: Array) -> Array:
    """The weights [outputs, columns that stay] that give nearest what all gave."""
    stays = ~np.isin(reader.columns, gone)
    covariance = reader.damped()
    return np.asarray(np.linalg.solve(covariance[np.ix_(stays, stays)], covariance[stays] @ reader.weight.T).T)


def magnitude_order(units: Array, weights: Mapping[str, tuple[Array, Array]]) -> Order:
    """By the norm of the weights that make each unit: `weights` gives rows and the unit of each; no examples are needed."""
    total = np.zeros(len(units))
    for rows, owners in weights.values():
        energy = (rows**2).sum(1)
        for place, unit in enumerate(units):
            total[place] += energy[owners == unit].sum()
    order = np.argsort(total, kind="stable")
    return Order(units[order], np.concatenate([[0.0], np.cumsum(total[order])[:-1]]) / max(total.sum(), 1e-12))
