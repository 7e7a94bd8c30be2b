"""What stands for the Q/DQ pairs of a graph while it learns."""

import math
from typing import TYPE_CHECKING

import onnx_ir as ir

from optkit.quantization.integer_graph.saturation import has_pairs
from optkit.quantization.operators import channel_axis
from optkit.training.graph.fake_quantization import Scale, fake_quantize, round_to, with_gradient_of

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Parameter

MOST = 2.0**31 - 1
"""Of an int32 bias."""


class Activation:
    """A QuantizeLinear with one scale, and the DequantizeLinear behind it. Integers count from the zero point."""

    def __init__(self, scale: Scale, low: int, high: int) -> None:
        self.scale, self.low, self.high = scale, float(low), float(high)

    def __call__(self, x: "Tensor") -> "Tensor":
        return fake_quantize(x.float(), self.scale(x.numel()), self.low, self.high)

    def tensors(self) -> "dict[str, Parameter]":
        """All that it holds, by name."""
        return self.scale.tensors()


class Gate:
    """A DequantizeLinear that reads integers on a grid which they were not made for, cut off by a Clip before: a HardSigmoid in integers.

    `low` and `high` are the ends of the Clip, and integers count from the zero point of the `source`, as its own do; `shift` is from
    there to the zero point of the gate. Both grids belong together, so the scale of the source does not learn.
    """

    def __init__(self, source: Activation, low: int, high: int, scale: float, shift: int) -> None:
        source.scale.hold()
        self.source, self.low, self.high, self.scale, self.shift = source, float(low), float(high), scale, float(shift)

    def __call__(self, x: "Tensor") -> "Tensor":
        steps = x / self.source.scale()
        return (steps.clamp(self.low, self.high) - self.shift) * self.scale


class Weight:
    """The float weight behind the int8 weight of a Conv, Gemm or MatMul. With `portable`, products fit 16 bits in pairs."""

    def __init__(self, node: ir.Node, integers: "Tensor", scale: Scale, axis: int | None, *, portable: bool, largest: int = 127) -> None:
        import torch

        self.scale, self.axis, self.largest = scale, axis, float(largest)
        self.shape, self.channels = tuple(integers.shape), channel_axis(node)
        plain = axis in (None, self.channels) and (node.op_type != "MatMul" or len(self.shape) == 2)
        self.paired = portable and plain and has_pairs(node, self.shape)
        self.latent: Parameter = torch.nn.Parameter((integers.float() * self.spread()).detach())

    def tensors(self) -> "dict[str, Parameter]":
        """All that it holds, by name."""
        return {"latent": self.latent, **self.scale.tensors()}

    def __call__(self) -> "Tensor":
        rows, scale = self._rows()
        return self._back(fake_quantize(rows, scale, -self.largest, self.largest, paired=self.paired))

    def integers(self) -> "Tensor":
        """int8, in the weight's own layout."""
        rows, scale = self._rows()
        return self._back(round_to(rows, scale, -self.largest, self.largest, self.paired)).char()

    def spread(self) -> "Tensor":
        """The scale, in a shape that broadcasts to the weight."""
        scale = self.scale(math.prod(self.shape))
        return scale if self.axis is None else scale.reshape([-1 if i == self.axis else 1 for i in range(len(self.shape))])

    def _rows(self) -> "tuple[Tensor, Tensor]":
        """[output channels, the rest in the order in which kernels sum it], where pairs matter; else as it is."""
        if not self.paired:
            return self.latent, self.spread()
        moved = self.latent.movedim(self.channels, 0)
        moved = moved.movedim(1, -1) if moved.dim() > 2 else moved
        scale = self.spread()
        return moved.reshape(len(moved), -1), scale.reshape(-1, 1) if scale.numel() > 1 else scale

    def _back(self, rows: "Tensor") -> "Tensor":
        if not self.paired:
            return rows
        sizes = [size for i, size in enumerate(self.shape) if i != self.channels]
        if len(sizes) > 1:
            return rows.reshape(self.shape[self.channels], *sizes[1:], sizes[0]).movedim(-1, 1).movedim(0, self.channels)
        return rows.reshape(self.shape[self.channels], *sizes).movedim(0, self.channels)


class Bias:
    """The float bias behind an int32 bias, whose scale is that of the input times that of the weight: it rounds to next to nothing."""

    def __init__(self, real: "Tensor", before: Scale, weight: Scale) -> None:
        import torch

        self.latent: Parameter = torch.nn.Parameter(real.clone())
        self.of = (before, weight)

    def tensors(self) -> "dict[str, Parameter]":
        """All that it holds, by name."""
        return {"latent": self.latent}

    def scale(self) -> "Tensor":
        """float32, one for each channel."""
        before, weight = self.of
        return (before() * weight()).detach()

    def integers(self) -> "Tensor":
        """int32."""
        return self._rounded(self.scale()).int()

    def __call__(self) -> "Tensor":
        scale = self.scale()
        return with_gradient_of((self._rounded(scale) * scale).float(), self.latent)

    def _rounded(self, scale: "Tensor") -> "Tensor":
        return (self.latent.detach().double() / scale.double()).round().clamp(-MOST, MOST)
