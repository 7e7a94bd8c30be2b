"""Padding of convolutions and pools, which ONNX lets differ at the two ends of an axis and PyTorch does not."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from optkit.training.graph.operators.attributes import Attributes

if TYPE_CHECKING:
    from torch import Tensor

Sizes = tuple[int, ...]


def padding_of(
    at: Attributes, sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[Sizes, Sizes]:
    """How much is put before and after each spatial axis."""
    automatic = at.get("auto_pad", "NOTSET")
    if automatic in ("SAME_UPPER", "SAME_LOWER"):
        wanted = [
            max(0, (-(-size // stride) - 1) * stride + dilation * (width - 1) + 1 - size)
            for size, width, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True)
        ]
        less, more = tuple(each // 2 for each in wanted), tuple(each - each // 2 for each in wanted)
        return (less, more) if automatic == "SAME_UPPER" else (more, less)
    pads = at.get("pads") if automatic == "NOTSET" else None
    pads = tuple(pads or (0,) * 2 * len(kernel))
    return pads[: len(kernel)], pads[len(kernel) :]


def pad_spatially(x: "Tensor", before: Sequence[int], after: Sequence[int], value: float) -> "Tensor":
    import torch

    ends = [end for pair in zip(reversed(before), reversed(after), strict=True) for end in pair]
    return torch.nn.functional.pad(x, ends, value=value) if any(ends) else x
