"""How many units go from each family, so that a target is met at the least error.

The cost of a family's removals times how much its errors show at the model's outputs, against what is saved: from the family where
a unit of saving costs least, again and again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from optkit.arrays import Array
from optkit.pruning.graph.eliminate import Order
from optkit.pruning.graph.groups import Family, Groups

AHEAD = (1, 2, 4, 8)
"""Steps that are considered at once: a curve may be steep first and flat then."""


@dataclass(frozen=True)
class Competitor:
    """One family: in which order its units go, how much that shows, in which steps, and how far."""

    family: Family
    order: Order
    weight: float
    steps: tuple[int, ...]
    """Numbers of units that may be gone, ascending, from 0."""

    def cost(self, place: int) -> float:
        return self.weight * float(self.order.cost[self.steps[place]])


def steps_of(family: Family, round_to: int, least_kept: float) -> tuple[int, ...]:
    """Numbers of units that may go so that a multiple of `round_to` channels stays, never less than `least_kept` of all.

    Heads and groups go one by one.
    """
    count = len(family.units)
    unit = round_to if family.positions == 1 else 1
    least = max(1, int(np.ceil(count * least_kept)))
    return (0, *sorted(count - kept for kept in range(least, count) if kept % unit == 0))


@dataclass(frozen=True)
class Saving:
    """What is left of a sum (of channels, multiply-accumulates or parameters) when units are gone."""

    amounts: Mapping[str, float]
    """What each addend is while nothing is gone."""
    axes: Mapping[str, Sequence[tuple[int, Mapping[int, int]]]]
    """Each addend shrinks with the lengths of its axes: length, and how many places of it a unit of each family takes."""
    touched: Sequence[Sequence[str]]
    """The addends that each family shrinks."""

    @classmethod
    def of_channels(cls, families: Sequence[Family]) -> "Saving":
        """Each family's channels count once."""
        amounts = {str(i): float(len(f.units) * f.positions) for i, f in enumerate(families)}
        return cls(amounts, {str(i): [(len(f.units), {i: 1})] for i, f in enumerate(families)}, [[name] for name in amounts])

    @classmethod
    def of_constants(cls, groups: Groups, families: Sequence[Family], amounts: Mapping[str, float]) -> "Saving":
        """`amounts` gives what each constant stands for."""
        axes: dict[str, list[tuple[int, dict[int, int]]]] = {name: [] for name in amounts}
        touched: list[list[str]] = [[] for _ in families]
        for name in amounts:
            for units in groups.axes.get(name, {}).values():
                counts = {f: int(np.isin(units, family.units[:1]).sum()) for f, family in enumerate(families)}
                counts = {f: n for f, n in counts.items() if n}
                axes[name].append((len(units), counts))
                for f in counts:
                    touched[f].append(name)
        return cls(amounts, axes, touched)

    def left(self, gone: Sequence[int], names: Sequence[str] | None = None) -> float:
        return sum(self.amounts[n] * self._share(n, gone) for n in (self.amounts if names is None else dict.fromkeys(names)))

    def _share(self, name: str, gone: Sequence[int]) -> float:
        return prod((size - sum(count * gone[f] for f, count in counts.items())) / size for size, counts in self.axes[name])

    def saved(self, gone: Sequence[int], family: int, number: int) -> float:
        """By taking `number` units of a family in place of what is gone of it."""
        names = self.touched[family]
        then = list(gone)
        then[family] = number
        return self.left(gone, names) - self.left(then, names)


def allocate(competitors: Sequence[Competitor], saving: Saving, met: Callable[[Sequence[int]], bool]) -> list[int] | None:
    """Units to remove of each, the fewest in cost for which `met` holds; None where it holds for none."""
    places = [0] * len(competitors)
    gone = [0] * len(competitors)
    while not met(gone):
        best: tuple[float, int, int] | None = None
        for index, each in enumerate(competitors):
            for ahead in AHEAD:
                place = places[index] + ahead
                if place >= len(each.steps):
                    break
                saved = saving.saved(gone, index, each.steps[place])
                if saved <= 0:
                    continue
                price = (each.cost(place) - each.cost(places[index])) / saved
                if best is None or price < best[0]:
                    best = (price, index, place)
        if best is None:
            return None
        _, index, place = best
        places[index], gone[index] = place, competitors[index].steps[place]
    return gone


def removed_units(competitors: Sequence[Competitor], gone: Sequence[int]) -> Array:
    parts = [each.order.units[:count] for each, count in zip(competitors, gone, strict=True)]
    return np.concatenate([np.zeros(0, np.int64), *parts])
