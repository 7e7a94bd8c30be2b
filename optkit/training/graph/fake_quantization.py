"""Numbers rounded to integers and back while a network learns, exactly as ONNX QuantizeLinear and DequantizeLinear do it.

Forward: clip(round(x / s), low, high) · s, rounding half to even. Backward the rounding is passed over (straight-through): what lies
within the range has gradient 1, what is cut off 0. Scales learn as in Esser et al. 2020, "Learned Step Size Quantization":
∂/∂s = round(x / s) - x / s within the range, low or high outside of it.
"""

import math
from typing import TYPE_CHECKING

from optkit.quantization.integer_graph.saturation import LARGEST_PAIR

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Parameter


def fake_quantize(x: "Tensor", scale: "Tensor", low: float, high: float, *, paired: bool = False) -> "Tensor":
    """x on the grid of `scale` (broadcast to x), integers within [low, high]; with gradients for x and scale.

    `paired`: x is [rows, K] and neighbours along K are pulled in where a CPU could not add their products in 16 bits (`pull_in`).
    """
    steps = x / scale
    integers = with_gradient_of(steps.detach().round(), steps).clamp(low, high)
    if paired:
        integers = with_gradient_of(pull_in(integers.detach(), steps.detach()), integers)
    return integers * scale


def round_to(x: "Tensor", scale: "Tensor", low: float, high: float, paired: bool = False) -> "Tensor":
    """The integers, as floats."""
    steps = x / scale
    integers = steps.round().clamp(low, high)
    return pull_in(integers, steps) if paired else integers


def with_gradient_of(value: "Tensor", source: "Tensor", share: float = 1.0) -> "Tensor":
    """Exactly `value`; backwards it is a share of `source`."""
    if not source.requires_grad:
        return value
    nothing = source - source.detach()
    return value + (nothing if share == 1 else nothing * share)


def pull_in(integers: "Tensor", steps: "Tensor") -> "Tensor":
    """Weights [rows, K] whose neighbours 2i, 2i + 1 of one sign do not exceed LARGEST_PAIR together (see quantization/saturation.py).

    A pair that is too large goes to the nearest point to `steps`, the weights before rounding, that is not.
    """
    import torch

    odd = integers.shape[1] % 2
    ints, real = (torch.nn.functional.pad(each, (0, odd)) if odd else each for each in (integers, steps))
    (first, second), (a, b) = ((each[:, 0::2], each[:, 1::2]) for each in (ints, real))
    sign = first.sign()
    wanted = ((sign * (a - b) + LARGEST_PAIR) / 2).round()
    share = torch.minimum(torch.maximum(wanted, LARGEST_PAIR - second.abs()), first.abs())
    crowded = (first + second).abs() > LARGEST_PAIR
    left, right = torch.where(crowded, sign * share, first), torch.where(crowded, sign * (LARGEST_PAIR - share), second)
    return torch.stack([left, right], 2).reshape(len(ints), -1)[:, : integers.shape[1]]


class Scale:
    """A scale that may be learned, as the logarithm of how it changed: one step changes every scale by the same share.

    Unless it `grows` it stays below its start: where values end at a bound of a Clip, a wider grid would bring the Clip back.
    """

    def __init__(self, start: "Tensor", *, learned: bool, grows: bool = True) -> None:
        import torch

        self.start: Parameter = torch.nn.Parameter(start.clone(), requires_grad=False)
        self.change: Parameter | None = torch.nn.Parameter(torch.zeros_like(start)) if learned else None
        self.grows = grows

    def __call__(self, numbers: int = 1) -> "Tensor":
        """The scale for a tensor of so many numbers: its gradient is a sum over all of them, which LSQ divides by √(numbers · 127)."""
        if self.change is None:
            return self.start
        change = with_gradient_of(self.change.detach(), self.change, 1 / math.sqrt(numbers * 127))
        return self.start * (change if self.grows else change.clamp(max=0)).exp()

    def hold(self) -> None:
        """Learn no more."""
        self.change = None

    def tensors(self) -> "dict[str, Parameter]":
        """All that it holds, by name."""
        return {"scale": self.start} | ({} if self.change is None else {"change": self.change})
