"""Which units go, decided from their scores alone: for networks of any framework.

A unit is what can only be taken out as a whole, such as a channel with everything that hangs on it, or an attention head.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from optkit.arrays import Array
from optkit.errors import UsageError

Scope = Literal["global", "layer"]
LEAST_KEPT = 0.1
"""Of a layer's units stays at least this share when layers compete: a network is no better than its narrowest place."""


@dataclass(frozen=True)
class Candidates:
    """Units that compete with each other: those of one layer, or of layers that are joined."""

    name: str
    scores: Array
    """One for each unit; the lowest go first. Float."""
    size: int = 1
    """Channels in a unit."""
    step: int = 1
    """The number of units that stay is a multiple of this."""

    @property
    def count(self) -> int:
        return len(self.scores)


def choose(layers: Sequence[Candidates], ratio: float, scope: Scope) -> list[Array]:
    """The units to take out of each layer, in ascending order: `ratio` of all channels, or of each layer's.

    Where layers compete, each one's scores are divided by their mean first, and a tenth of its units stays whatever they are. What stays is
    rounded to a multiple of `step`, to the nearest one, and never to nothing. Raises UsageError where the ratio leaves a layer nothing.
    """
    kept = _kept_of_each(layers, ratio) if scope == "layer" else _kept_of_all(layers, ratio)
    return [np.sort(_order(layer.scores)[: layer.count - _rounded(layer, count)]) for layer, count in zip(layers, kept, strict=True)]


def _kept_of_each(layers: Sequence[Candidates], ratio: float) -> list[float]:
    for layer in layers:
        if layer.count * (1 - ratio) < 0.5:
            most = int((1 - 0.5 / layer.count) * 100) / 100
            raise _emptied(f"a ratio of {ratio:g} leaves {layer.name} none of its {layer.count} units", most)
    return [layer.count * (1 - ratio) for layer in layers]


def _kept_of_all(layers: Sequence[Candidates], ratio: float) -> list[float]:
    """Units of all layers in one order; each goes unless its layer is down to its least, until the channels that go are enough."""
    least = [max(1, int(np.ceil(layer.count * LEAST_KEPT))) for layer in layers]
    left = [layer.count for layer in layers]
    total = sum(layer.count * layer.size for layer in layers)
    most = total - sum(kept * layer.size for kept, layer in zip(least, layers, strict=True))
    if total and ratio * total > most:
        raise _emptied(f"a ratio of {ratio:g} leaves some layers less than a tenth of their units", int(most / total * 100) / 100)
    values = np.concatenate([_relative(layer.scores) for layer in layers]) if layers else np.zeros(0)
    owners = np.repeat(np.arange(len(layers)), left)
    gone = 0
    for unit in _order(values):
        layer = int(owners[unit])
        if gone >= ratio * total:
            break
        if left[layer] > least[layer]:
            left[layer] -= 1
            gone += layers[layer].size
    return [float(count) for count in left]


def _rounded(layer: Candidates, kept: float) -> int:
    """The nearest multiple of the step that is not 0; all where there are no more than one step's."""
    near = max(1, int(np.floor(kept / layer.step + 0.5))) * layer.step
    return min(layer.count, near)


def _relative(scores: Array) -> Array:
    mean = float(np.mean(scores)) if scores.size else 0.0
    return scores / mean if mean > 0 else scores


def _order(scores: Array) -> Array:
    """From the lowest; of equal ones the first."""
    return np.argsort(scores, kind="stable")


def _emptied(what: str, most: float) -> UsageError:
    return UsageError(what, hint=f"ask for at most {most:g}, or name layers to leave whole under `exclude`")
