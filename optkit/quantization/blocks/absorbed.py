"""Which layers of a block can share AWQ's scales with the norm before them, so that nothing is left to multiply while the model runs."""

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import torch


class Calibrate(Protocol):
    """Shows the calibration examples to a network, or the first `most` batches of them."""

    def __call__(self, module: "torch.nn.Module", most: int | None = None) -> None: ...


SAME = 1e-3
"""Largest change, relative to the largest value, that moving a factor from a norm into what reads it may make in float32."""


def absorbing(module: "torch.nn.Module", calibrate: Calibrate) -> dict[str, Any]:
    """Name of a norm → names of the Linear layers that read it, and of every other Linear layer → itself; names within a block.

    Empty where the blocks differ: the library then looks for itself. That nothing else reads a norm is tried, not assumed.
    """
    import torch

    blocks = next(part for part in module.modules() if type(part) is torch.nn.ModuleList and len(part))
    layers = [[name for name, part in block.named_modules() if isinstance(part, torch.nn.Linear)] for block in blocks]
    if any(names != layers[0] for names in layers):
        return {}
    found = {norm: tuple(readers) for norm, readers in _readers(module, blocks[0], calibrate).items()}
    shared = {norm: readers for norm, readers in found.items() if all(_may_share(module, b, norm, readers, calibrate) for b in blocks)}
    taken = {name for readers in shared.values() for name in readers}
    return {**shared, **{name: name for name in layers[0] if name not in taken}}


def _readers(module: "torch.nn.Module", block: "torch.nn.Module", calibrate: Calibrate) -> dict[str, list[str]]:
    """Norms of a block, and the Linear layers that were given the very tensor that the norm gave back."""
    import torch

    given: dict[int, str] = {}
    kept: list[Any] = []
    found: dict[str, list[str]] = {}

    def gives(name: str) -> Any:
        def note(part: Any, inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor):
                given[id(output)] = name
                kept.append(output)

        return note

    def reads(name: str) -> Any:
        def note(part: Any, inputs: Any) -> None:
            norm = given.get(id(inputs[0])) if inputs else None
            if norm is not None and name not in found.setdefault(norm, []):
                found[norm].append(name)

        return note

    hooks = []
    for name, part in block.named_modules():
        if isinstance(part, torch.nn.Linear):
            hooks.append(part.register_forward_pre_hook(reads(name)))
        elif _is_norm(part):
            hooks.append(part.register_forward_hook(gives(name)))
    try:
        calibrate(module, 1)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _is_norm(part: "torch.nn.Module") -> bool:
    weight = part._parameters.get("weight")
    return weight is not None and weight.dim() == 1 and not list(part.children())


def _may_share(module: "torch.nn.Module", block: "torch.nn.Module", norm: str, readers: tuple[str, ...], calibrate: Calibrate) -> bool:
    """Whether the block answers the same with a factor for each channel moved from the norm into the layers that read it."""
    import torch

    first, layers = block.get_submodule(norm), [block.get_submodule(name) for name in readers]
    weight, bias = first.weight, getattr(first, "bias", None)
    parts = [weight, *([bias] if isinstance(bias, torch.nn.Parameter) else []), *(each.weight for each in layers)]
    before, values = _answer(module, block, calibrate), [part.detach().clone() for part in parts]
    factors = torch.from_numpy(np.exp2(np.random.default_rng(0).integers(-1, 2, weight.numel())).astype(np.float32)).to(weight.dtype)
    with torch.no_grad():
        for part in parts:
            part.div_(factors) if part.dim() == 1 else part.mul_(factors)
        after = _answer(module, block, calibrate)
        for part, value in zip(parts, values, strict=True):
            part.copy_(value)
    return bool((before - after).abs().max() <= SAME * before.abs().max())


def _answer(module: "torch.nn.Module", block: "torch.nn.Module", calibrate: Calibrate) -> "torch.Tensor":
    found: list[torch.Tensor] = []
    hook = block.register_forward_hook(lambda part, inputs, output: found.append(output if hasattr(output, "dim") else output[0]))
    try:
        calibrate(module, 1)
    finally:
        hook.remove()
    return found[0].detach()
