"""Which tensor of one model is which of the other: by name, and by values where names were lost in rewriting."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from optkit.arrays import Array
from optkit.layers.laid_out import without_ones
from optkit.layers.tensors import Graph, dequantized, spellings
from optkit.layers.watch import Seen

NEAR = 0.1
"""Noise over signal (10 dB): tensors nearer than that with equal shapes are the same."""
EQUAL = 1e-9
"""Noise over signal: nothing tells such tensors apart."""
DISTINCT = 8
"""Different numbers that a tensor needs at least to be known by."""
FAR = 0.5
"""Noise over signal: a name whose values are so far off may stand for something else by now."""


@dataclass(frozen=True)
class Pair:
    """A tensor of the first model and the same of the second."""

    before: str
    after: str
    matched: Literal["name", "values"]


def match_tensors(
    befores: Mapping[str, Seen], after: Graph, afters: Mapping[str, Seen], outputs: Collection[str]
) -> tuple[list[Pair], dict[str, str]]:
    """Pairs in the first model's order, and why its other tensors have none. `outputs` always go by their names."""
    pairs: dict[str, Pair] = {}
    why: dict[str, str] = {}
    for name, seen in befores.items():
        found = _by_name(name, after, afters)
        if found is None:
            why[name] = "not in the other model: fused, folded or left out"
        elif len(without_ones(afters[found].shape)) != len(without_ones(seen.shape)):
            why[name] = "of another shape in the other model"
        else:
            pairs[name] = Pair(name, found, "name")
    far = [n for n, p in pairs.items() if n not in outputs and distance(befores[n].marks, afters[p.after].marks) > FAR]
    lost = [name for name in befores if name not in pairs or name in far]
    taken = {v.name for n, p in pairs.items() if n not in far for v in spellings(after.computed[p.after], afters).values}
    free = [name for name in afters if name not in taken]
    for name, other in _by_values(lost, befores, free, afters).items():
        pairs[name] = Pair(name, other, "values")
        why.pop(name, None)
    return [pairs[name] for name in befores if name in pairs], why


def _by_name(name: str, after: Graph, afters: Mapping[str, Seen]) -> str | None:
    value = after.computed.get(name)
    if value is None:
        renamed = [f"{name}_dequantized", f"{name}_DequantizeLinear_Output", f"{name}_float"]
        return next((each for each in renamed if each in afters), None)
    behind = dequantized(value)
    if behind is not None and behind.name in afters:
        return str(behind.name)
    return name if name in afters else None


def _by_values(lost: Collection[str], befores: Mapping[str, Seen], free: Sequence[str], afters: Mapping[str, Seen]) -> dict[str, str]:
    """Tensors of which each is the other's nearest; of equally near ones those that stand at a like place in the graph."""
    by_shape: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for name, seen in befores.items():
        by_shape[without_ones(seen.shape)].append(name)
    place_before = {name: i / len(befores) for i, name in enumerate(befores)}
    place_after = {name: i / len(afters) for i, name in enumerate(afters)}
    candidates = []
    for other in free:
        marks = afters[other].marks
        ranked = [(distance(befores[name].marks, marks), name) for name in by_shape[without_ones(afters[other].shape)]]
        nearest = min((noise for noise, _ in ranked), default=np.inf)
        if nearest <= NEAR and len(np.unique(marks)) >= min(DISTINCT, marks.size):
            alike = [name for noise, name in ranked if noise <= nearest + EQUAL]
            # a tensor that is found already, under a name of its own, is not looked for again among its equals
            if all(name in lost for name in alike):
                candidates += [(nearest, abs(place_before[name] - place_after[other]), name, other) for name in alike]
    found: dict[str, str] = {}
    used: set[str] = set()
    for _, _, name, other in sorted(candidates):
        if name not in found and other not in used:
            found[name] = other
            used.add(other)
    return found


def distance(truth: Array, got: Array) -> float:
    """Noise over signal of some numbers of two tensors."""
    if truth.shape != got.shape:
        return np.inf
    known = np.isfinite(truth) & np.isfinite(got)
    a, b = truth[known], got[known]
    signal = float(np.vdot(a, a))
    return float(np.vdot(a - b, a - b)) / signal if signal else np.inf
