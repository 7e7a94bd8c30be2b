"""What may be taken out of a PyTorch module: channels and attention heads, in units that go as a whole."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import gcd
from typing import TYPE_CHECKING, Any

from optkit.arrays import Array
from optkit.pruning.heads import Heads, heads_of, tell
from optkit.pruning.joined import Joined, graph_of, joined_channels, take_out
from optkit.pruning.patterns import matched

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Units:
    """The units of some joined channels."""

    joined: Joined
    heads: Heads | None
    parts: tuple[tuple[int, ...], ...]
    """The channels of each unit."""
    step: int = 1

    @property
    def what(self) -> str:
        return "heads" if self.heads else "channels"


@dataclass(frozen=True)
class Found:
    """Units that may go, and layers that stay whole, with the reason."""

    units: tuple[Units, ...]
    whole: Mapping[str, str]


def units_of(module: "torch.nn.Module", inputs: Any, round_to: int, exclude: Sequence[str]) -> Found:
    """Raises ModelError where the module cannot be traced, UsageError for a pattern in `exclude` that matches nothing."""
    kinds = {name: type(part).__name__ for name, part in module.named_modules() if name and not list(part.children())}
    kept, units, whole = matched(exclude, kinds), [], {}
    for joined in joined_channels(graph_of(module, inputs)):
        heads = heads_of(module, joined) if joined.attends else None
        if joined.losers & kept:
            whole[joined.name] = "excluded"
        elif joined.attends and heads is None:
            whole[joined.name] = "attention whose number of heads is not known"
        elif heads is not None:
            units.append(Units(joined, heads, tuple(_heads(joined.count, heads.count))))
        elif joined.count % joined.groups:
            whole[joined.name] = "its groups are not equally large"
        else:
            units.append(Units(joined, None, tuple(_grouped(joined)), round_to // gcd(round_to, joined.groups)))
    return Found(tuple(units), whole)


def only_safe(module: "torch.nn.Module", inputs: Any, found: Found, gone_from: Any) -> Found:
    """Without units that `forward` needs as they are: where one goes it fails, or an output changes its size.

    `gone_from(units)` is a copy of the module from which one step of each of these units is taken.
    """
    from optkit.pruning.feeds import sizes_of

    wanted = sizes_of(module, inputs)
    if sizes_of(gone_from(found.units), inputs) == wanted:
        return found
    safe = tuple(each for each in found.units if sizes_of(gone_from([each]), inputs) == wanted)
    fixed = {each.joined.name: "the network's code fixes its size" for each in found.units if each not in safe}
    return replace(found, units=safe, whole={**found.whole, **fixed})


def take_units(module: "torch.nn.Module", inputs: Any, gone: Mapping[Units, Array]) -> None:
    """Take units, by number, out of a module in place; modules around attention are told how many heads are left."""
    channels = {units.joined: [channel for unit in numbers for channel in units.parts[int(unit)]] for units, numbers in gone.items()}
    take_out(graph_of(module, inputs), channels)
    for units, numbers in gone.items():
        if units.heads is not None:
            tell(module, units.joined, units.heads, units.heads.count - len(numbers))


def _heads(count: int, heads: int) -> Iterator[tuple[int, ...]]:
    size = count // heads
    return (tuple(range(i * size, (i + 1) * size)) for i in range(heads))


def _grouped(joined: Joined) -> Iterator[tuple[int, ...]]:
    """One channel of each group, which so stay equally large."""
    size = joined.count // joined.groups
    return (tuple(i + group * size for group in range(joined.groups)) for i in range(size))
