"""Weights of a PyTorch module that may become 0, as arrays, and put back; zeros that a training is to keep."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from optkit.arrays import Array
from optkit.pruning.patterns import matched
from optkit.pruning.zeros import Mask

if TYPE_CHECKING:
    import torch

KINDS = ("Linear", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d")


def weights_of(module: "torch.nn.Module", exclude: Sequence[str] = ()) -> dict[str, Array]:
    """Layer → its weight (shared memory), of linear layers and convolutions. Raises UsageError for a pattern that matches nothing."""
    layers = {name: type(part).__name__ for name, part in module.named_modules() if not list(part.children())}
    left = matched(exclude, layers)
    found: dict[str, Array] = {}
    seen: set[int] = set()
    for name, kind in layers.items():
        weight = getattr(module.get_submodule(name), "weight", None)
        if kind in KINDS and name not in left and weight is not None and weight.is_floating_point() and id(weight) not in seen:
            seen.add(id(weight))  # a shared weight counts once
            found[name] = weight.detach().numpy()
    return found


def input_axis(module: "torch.nn.Module", name: str) -> int:
    """The axis of a layer's weight that its inputs lie on."""
    return 0 if getattr(module.get_submodule(name), "transposed", False) else 1


def set_zeros(module: "torch.nn.Module", masks: Mapping[str, Mask]) -> None:
    """Set what a mask leaves out to 0, in place, on whatever device the module is."""
    import torch

    with torch.no_grad():
        for name, mask in masks.items():
            weight = module.get_submodule(name).weight
            weight.mul_(torch.from_numpy(mask).to(weight.device))


def hold_zeros(module: "torch.nn.Module", layers: Iterable[str]) -> Callable[[], None]:
    """For a training: call this once before the first step, and what it returns after every change of the weights.

    The zeros that the weights of these layers hold now stay zero, so that what was pruned stays pruned. Of other layers zeros may be
    there for another reason, such as a start from nothing. Which they are follows from the weights alone: a training that goes on from a
    checkpoint keeps the same ones.
    """
    import torch

    weights: list[torch.Tensor] = [module.get_submodule(name).weight for name in layers]
    held = [(weight, weight.detach() == 0) for weight in weights]

    def keep() -> None:
        with torch.no_grad():
            for weight, zeros in held:
                weight.masked_fill_(zeros, 0)

    return keep
