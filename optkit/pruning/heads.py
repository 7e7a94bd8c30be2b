"""Attention heads: which layers make them, and what the module around knows of their number."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optkit.pruning.joined import Joined

if TYPE_CHECKING:
    import torch

NUMBERS = ("num_heads", "num_attention_heads", "n_heads", "n_head", "nhead", "heads", "num_key_value_heads", "num_kv_heads")
WIDTHS = ("all_head_size", "attn_dim", "inner_dim", "inner_size", "total_head_dim")


@dataclass(frozen=True)
class Heads:
    """How many heads some joined channels are, and the modules that know it."""

    count: int
    owners: tuple[str, ...]


def heads_of(module: "torch.nn.Module", joined: Joined) -> Heads | None:
    """The heads of channels that attend; None where no module around says how many, or keys have fewer heads than queries."""
    wide = {module.get_submodule(name).out_features for name, kind, side in joined.members if kind == "Linear" and side == "out"}
    if not wide <= {joined.count, 2 * joined.count, 3 * joined.count}:
        return None
    owners = tuple(sorted({parent for name in joined.losers for parent in _around(name)}))
    told = {owner: number for owner in owners if (number := _number(module.get_submodule(owner))) is not None}
    numbers = set(told.values())
    if len(numbers) != 1:
        return None
    count = numbers.pop()
    return None if joined.count % count else Heads(count, tuple(told))


def tell(module: "torch.nn.Module", joined: Joined, heads: Heads, left: int) -> None:
    """Let the modules around know that only `left` heads are there."""
    size = joined.count // heads.count
    for owner in heads.owners:
        part = module.get_submodule(owner)
        for names, before, after in ((NUMBERS, heads.count, left), (WIDTHS, joined.count, left * size)):
            for name in names:
                if vars(part).get(name) == before:
                    setattr(part, name, after)


def _around(name: str) -> Iterator[str]:
    """The modules that a layer lies in, from the nearest, three at most."""
    parts = name.split(".")[:-1]
    for depth in range(len(parts), max(len(parts) - 3, -1), -1):
        yield ".".join(parts[:depth])


def _number(part: "torch.nn.Module") -> int | None:
    return next((value for name in NUMBERS if isinstance(value := vars(part).get(name), int)), None)
