"""Numbers rounded to integers and back while a network learns, exactly as ONNX QuantizeLinear and DequantizeLinear do it.

Forward: clip(round(x / s), low, high) · s, rounding half to even. Backward the rounding is passed over (straight-through): what lies
within the range has gradient 1, what is cut off 0. Scales learn as in Esser et al. 2020, "Learned Step Size Quantization":
∂/∂s = round(x / s) - x / s within the range, low or high outside of it.
"""

import math
from typing import Any

import torch

from optkit.quantization.saturation import LARGEST_PAIR


class _FakeQuantize(torch.autograd.Function):  # type: ignore[misc]  # torch is not typed here
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, scale: torch.Tensor, low: float, high: float, paired: bool) -> torch.Tensor:
        integers = round_to(x, scale, low, high, paired)
        ctx.save_for_backward(x, scale, integers if ctx.needs_input_grad[1] else None)
        ctx.range = low, high
        return integers * scale

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, scale, integers = ctx.saved_tensors
        low, high = ctx.range
        steps = x / scale
        rounded = steps.round()
        inside = (rounded >= low) & (rounded <= high)
        to_scale = None
        if ctx.needs_input_grad[1]:
            to_scale = (gradient * torch.where(inside, integers - steps, integers)).sum_to_size(scale.shape)
        return gradient * inside if ctx.needs_input_grad[0] else None, to_scale, None, None, None


def fake_quantize(x: torch.Tensor, scale: torch.Tensor, low: float, high: float, *, paired: bool = False) -> torch.Tensor:
    """x on the grid of `scale` (broadcast to x), integers within [low, high]; with gradients for x and scale.

    `paired`: x is [rows, K] and neighbours along K are pulled in where a CPU could not add their products in 16 bits (`pull_in`).
    """
    made: torch.Tensor = _FakeQuantize.apply(x, scale, low, high, paired)
    return made


def round_to(x: torch.Tensor, scale: torch.Tensor, low: float, high: float, paired: bool = False) -> torch.Tensor:
    """The integers, as floats."""
    steps = x / scale
    integers = steps.round().clamp_(low, high)
    return pull_in(integers, steps) if paired else integers


def pull_in(integers: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    """Weights [rows, K] whose neighbours 2i, 2i + 1 of one sign do not exceed LARGEST_PAIR together (see quantization/saturation.py).

    A pair that is too large goes to the nearest point to `steps`, the weights before rounding, that is not.
    """
    odd = integers.shape[1] % 2
    ints, real = (torch.nn.functional.pad(each, (0, odd)) if odd else each for each in (integers, steps))
    (first, second), (a, b) = ((each[:, 0::2], each[:, 1::2]) for each in (ints, real))
    sign = first.sign()
    wanted = ((sign * (a - b) + LARGEST_PAIR) / 2).round()
    share = torch.minimum(torch.maximum(wanted, LARGEST_PAIR - second.abs()), first.abs())
    crowded = (first + second).abs() > LARGEST_PAIR
    left, right = torch.where(crowded, sign * share, first), torch.where(crowded, sign * (LARGEST_PAIR - share), second)
    return torch.stack([left, right], 2).reshape(len(ints), -1)[:, : integers.shape[1]]


class _Slowed(torch.autograd.Function):  # type: ignore[misc]  # torch is not typed here
    """The same, with a smaller gradient."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, factor: float) -> torch.Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return gradient * ctx.factor, None


class Scale(torch.nn.Module):  # type: ignore[misc]
    """A scale that may be learned, as the logarithm of how it changed: one step changes every scale by the same share.

    Unless it `grows` it stays below its start: where values end at a bound of a Clip, a wider grid would bring the Clip back.
    """

    start: torch.Tensor

    def __init__(self, start: torch.Tensor, *, learned: bool, grows: bool = True) -> None:
        super().__init__()
        self.register_buffer("start", start.clone(), persistent=False)
        self.change = torch.nn.Parameter(torch.zeros_like(start)) if learned else None
        self.grows = grows

    def forward(self, numbers: int = 1) -> torch.Tensor:
        """The scale for a tensor of so many numbers: its gradient is a sum over all of them, which LSQ divides by √(numbers · 127)."""
        if self.change is None:
            return self.start
        change: torch.Tensor = _Slowed.apply(self.change, 1 / math.sqrt(numbers * 127))
        return self.start * (change if self.grows else change.clamp(max=0)).exp()
