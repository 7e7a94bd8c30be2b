"""What stands for the Q/DQ pairs of a graph while it learns."""

import math

import onnx_ir as ir
import torch

from optkit.quantization.operators import channel_axis
from optkit.quantization.saturation import has_pairs
from optkit.training.graph.fake_quantization import Scale, fake_quantize, round_to

MOST = 2.0**31 - 1
"""Of an int32 bias."""


class Activation(torch.nn.Module):  # type: ignore[misc]
    """A QuantizeLinear with one scale, and the DequantizeLinear behind it. Integers count from the zero point."""

    def __init__(self, scale: Scale, low: int, high: int) -> None:
        super().__init__()
        self.scale, self.low, self.high = scale, float(low), float(high)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return fake_quantize(x.float(), self.scale(x.numel()), self.low, self.high)


class Weight(torch.nn.Module):  # type: ignore[misc]
    """The float weight behind the int8 weight of a Conv, Gemm or MatMul. With `portable`, products fit 16 bits in pairs."""

    def __init__(
        self, node: ir.Node, integers: torch.Tensor, scale: Scale, axis: int | None, *, portable: bool, largest: int = 127
    ) -> None:
        super().__init__()
        self.scale, self.axis, self.largest = scale, axis, float(largest)
        self.shape, self.channels = tuple(integers.shape), channel_axis(node)
        plain = axis in (None, self.channels) and (node.op_type != "MatMul" or len(self.shape) == 2)
        self.paired = portable and plain and has_pairs(node, self.shape)
        self.latent = torch.nn.Parameter(integers.float() * self.spread())

    def forward(self) -> torch.Tensor:
        rows, scale = self._rows()
        return self._back(fake_quantize(rows, scale, -self.largest, self.largest, paired=self.paired))

    def integers(self) -> torch.Tensor:
        """int8, in the weight's own layout."""
        rows, scale = self._rows()
        return self._back(round_to(rows, scale, -self.largest, self.largest, self.paired)).to(torch.int8)

    def spread(self) -> torch.Tensor:
        """The scale, in a shape that broadcasts to the weight."""
        scale: torch.Tensor = self.scale(math.prod(self.shape))
        return scale if self.axis is None else scale.reshape([-1 if i == self.axis else 1 for i in range(len(self.shape))])

    def _rows(self) -> tuple[torch.Tensor, torch.Tensor]:
        """[output channels, the rest in the order in which kernels sum it], where pairs matter; else as it is."""
        if not self.paired:
            return self.latent, self.spread()
        moved = self.latent.movedim(self.channels, 0)
        moved = moved.movedim(1, -1) if moved.dim() > 2 else moved
        scale = self.spread()
        return moved.reshape(len(moved), -1), scale.reshape(-1, 1) if scale.numel() > 1 else scale

    def _back(self, rows: torch.Tensor) -> torch.Tensor:
        if not self.paired:
            return rows
        sizes = [size for i, size in enumerate(self.shape) if i != self.channels]
        if len(sizes) > 1:
            return rows.reshape(self.shape[self.channels], *sizes[1:], sizes[0]).movedim(-1, 1).movedim(0, self.channels)
        return rows.reshape(self.shape[self.channels], *sizes).movedim(0, self.channels)


class Bias(torch.nn.Module):  # type: ignore[misc]
    """The float bias behind an int32 bias, whose scale is that of the input times that of the weight: it rounds to next to nothing."""

    def __init__(self, real: torch.Tensor, before: Scale, weight: Scale) -> None:
        super().__init__()
        self.latent = torch.nn.Parameter(real.clone())
        self.of = (before, weight)  # a tuple: they belong to others

    def scale(self) -> torch.Tensor:
        """float32, one for each channel."""
        before, weight = self.of
        return (before() * weight()).detach()

    def integers(self) -> torch.Tensor:
        """int32."""
        return self._rounded(self.scale()).to(torch.int32)

    def forward(self) -> torch.Tensor:
        scale = self.scale()
        return self.latent + ((self._rounded(scale) * scale).float() - self.latent).detach()

    def _rounded(self, scale: torch.Tensor) -> torch.Tensor:
        return (self.latent.detach().double() / scale.double()).round().clamp(-MOST, MOST)
