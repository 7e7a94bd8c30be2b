"""Whole channels and attention heads out of a PyTorch module: it stays a module of the same code, smaller, and can be trained."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.arrays import Array
from optkit.errors import NothingPaid, UsageError
from optkit.pruning.choice import Candidates, Scope, choose
from optkit.pruning.cost import cost_of
from optkit.pruning.importance import Importance, scored
from optkit.pruning.mildest import mildest
from optkit.pruning.units import Found, Units, only_safe, take_units, units_of

if TYPE_CHECKING:
    import torch

    Latency = Callable[["torch.nn.Module"], float]


@dataclass(frozen=True)
class Asked:
    """How much is to go, and how it is chosen."""

    ratio: float
    target: tuple[str, float] | None
    """`macs`, `parameters` or `latency`, and the share of the original's that may stay: then the ratio follows from it."""
    scope: Scope
    importance: Importance
    round_to: int
    exclude: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What was taken out."""

    ratio: float
    kept: Mapping[str, tuple[int, int, str]]
    """Layer → units before, units after, and what they are: channels or heads."""
    whole: Mapping[str, str]
    """Layers that could have lost some, and why they did not."""


def prune_channels(module: "torch.nn.Module", inputs: Any, asked: Asked, latency: "Latency | None" = None) -> Outcome:
    """Take out units in place. Taylor importance wants gradients in the parameters; a latency target wants `latency(module)`, the time of a
    module as a share of the original's.

    Raises ModelError where it cannot be traced, UsageError where a pattern matches nothing, a ratio would empty a layer or a target is out
    of reach, NothingPaid where nothing may be taken out.
    """
    candidates, found = _candidates(module, inputs, asked)

    def gone_at(ratio: float) -> dict[Units, Array]:
        return dict(zip(candidates, choose(list(candidates.values()), ratio, asked.scope), strict=True))

    def at(ratio: float) -> "torch.nn.Module":
        return _copy_without(module, inputs, gone_at(ratio))

    ratio = asked.ratio if asked.target is None else _ratio_for(module, inputs, asked.target, at, latency)
    gone = gone_at(ratio)
    if not any(map(len, gone.values())):
        hint = f"raise ratio, or lower round_to, which is {asked.round_to}: what stays is rounded to a multiple of it"
        raise NothingPaid(f"a ratio of {ratio:g} takes nothing out", hint=hint)
    take_units(module, inputs, gone)
    kept = {units.joined.name: (len(units.parts), len(units.parts) - len(numbers), units.what) for units, numbers in gone.items()}
    return Outcome(ratio, kept, found.whole)


def _candidates(module: "torch.nn.Module", inputs: Any, asked: Asked) -> tuple[dict[Units, Candidates], Found]:
    found = units_of(module, inputs, asked.round_to, asked.exclude)

    def without_some(units: Sequence[Units]) -> "torch.nn.Module":
        return _copy_without(module, inputs, {each: _first(each) for each in units})

    found = only_safe(module, inputs, found, without_some)
    candidates = scored(module, inputs, found.units, asked.importance)
    if not candidates:
        told = "; ".join(f"{name}: {why}" for name, why in list(found.whole.items())[:3])
        raise NothingPaid(f"no channels can be taken out{f' ({told})' if told else ''}", hint="prune single weights with prune_weights")
    return candidates, found


def _first(units: Units) -> Array:
    """As few units as are ever taken out: one, or so many that a multiple of the step stays."""
    import numpy as np

    return np.arange(max(1, min(units.step, len(units.parts) - 1)))


def _copy_without(module: "torch.nn.Module", inputs: Any, gone: Mapping[Units, Array]) -> "torch.nn.Module":
    copied = deepcopy(module)
    take_units(copied, inputs, gone)
    return copied


def _ratio_for(
    module: "torch.nn.Module", inputs: Any, target: tuple[str, float], at: "Callable[[float], torch.nn.Module]", latency: "Latency | None"
) -> float:
    what, share = target
    if what == "latency":
        if latency is None:
            raise UsageError("nothing measures the latency here", hint="give macs or parameters")
        return mildest(lambda ratio: latency(at(ratio)), share, what, steps=5)
    before = cost_of(module, inputs)
    return mildest(lambda ratio: getattr(cost_of(at(ratio), inputs), what) / getattr(before, what), share, what)
