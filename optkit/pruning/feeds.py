"""Example inputs as a module takes them."""

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from optkit.arrays import Array

if TYPE_CHECKING:
    import torch

Inputs = "dict[str, torch.Tensor] | tuple[torch.Tensor, ...]"


def inputs_for(module: "torch.nn.Module", feed: Mapping[str, Array]) -> "dict[str, torch.Tensor] | tuple[torch.Tensor, ...]":
    """A feed as keyword arguments of `forward`, or as its only one where their names differ."""
    import torch

    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in feed.items()}
    known = inspect.signature(module.forward).parameters
    takes_any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in known.values())
    return tuple(tensors.values()) if len(tensors) == 1 and not takes_any and not set(tensors) <= set(known) else tensors


def answer(module: "torch.nn.Module", inputs: "dict[str, torch.Tensor] | tuple[torch.Tensor, ...]") -> Any:
    """What the module returns."""
    return module(**inputs) if isinstance(inputs, dict) else module(*inputs)


def sizes_of(module: "torch.nn.Module", inputs: "dict[str, torch.Tensor] | tuple[torch.Tensor, ...]") -> list[tuple[int, ...]] | None:
    """The sizes of its outputs; None where it fails."""
    import torch

    try:
        with torch.no_grad():
            found = answer(module.eval(), inputs)
    except Exception:  # the user's code may raise anything
        return None
    return [tuple(each.shape) for each in tensors_in(found)]


def tensors_in(found: Any) -> "list[torch.Tensor]":
    """The tensors that a module returned, however they lie in each other."""
    import torch

    if isinstance(found, torch.Tensor):
        return [found]
    inside = found.values() if isinstance(found, Mapping) else found if isinstance(found, list | tuple) else ()
    return [tensor for each in inside for tensor in tensors_in(each)]
