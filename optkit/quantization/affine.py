"""Affine integers: real = scale × (integer − zero point).

The formulas are those of ONNX QuantizeLinear (round half to even, saturate).
"""

from dataclasses import dataclass

import numpy as np

from optkit.arrays import Array

SMALLEST_SCALE = float(np.finfo(np.float32).tiny) * 2**24
"""Below this, 1/scale and products of scales leave float32."""


@dataclass(frozen=True)
class Grid:
    """The integers of one activation tensor: uint8 with a float32 scale."""

    scale: float
    zero_point: int

    @property
    def low(self) -> float:
        return self.scale * (0 - self.zero_point)

    @property
    def high(self) -> float:
        return self.scale * (255 - self.zero_point)

    def round_trip(self, values: Array) -> Array:
        """What is left of float values after quantizing and dequantizing."""
        scale = np.float32(self.scale)
        integers = np.minimum(np.maximum(np.rint(values / scale), -self.zero_point), 255 - self.zero_point)
        back: Array = integers * scale
        return back


def grid_for(low: float, high: float) -> Grid:
    """The uint8 grid that covers [low, high] and holds zero exactly (padding and ReLU need it)."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32(max((high - low) / 255, SMALLEST_SCALE)))
    return Grid(scale, min(max(round(-low / scale), 0), 255))


def quantize_weight(weight: Array, axis: int | None, largest: int = 127) -> tuple[Array, Array]:
    """Symmetric int8 weights of [-largest, largest] and their float32 scales: one per slice along `axis`, or one in all."""
    others = tuple(i for i in range(weight.ndim) if i != axis) if axis is not None else None
    peak = np.abs(weight).max(axis=others, initial=0.0)
    scale = np.maximum(peak.astype(np.float64) / largest, SMALLEST_SCALE).astype(np.float32)
    return round_weight(weight, scale, axis, largest), scale


def round_weight(weight: Array, scale: Array, axis: int | None, largest: int = 127) -> Array:
    """Integers nearest to weight / scale."""
    spread = scale if axis is None else scale.reshape([-1 if i == axis else 1 for i in range(weight.ndim)])
    return np.clip(np.rint(weight / spread), -largest, largest).astype(np.int8)


def quantize_bias(bias: Array, input_scale: float, weight_scale: Array) -> tuple[Array, Array]:
    """int32 bias in the accumulator's own scale, input_scale × weight_scale, so that it adds without a conversion."""
    scale = (np.float32(input_scale) * weight_scale).astype(np.float32)
    integers = np.clip(np.rint(bias.astype(np.float64) / scale), -(2**31) + 1, 2**31 - 1)
    return integers.astype(np.int32), np.broadcast_to(scale, bias.shape if scale.ndim else ()).astype(np.float32)
