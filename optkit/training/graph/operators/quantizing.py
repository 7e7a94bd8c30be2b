"""DequantizeLinear of constants; pairs around activations are fake quantization instead."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from optkit.training.graph.operators.attributes import Attributes

if TYPE_CHECKING:
    from torch import Tensor


def _dequantize(at: Attributes, x: "Tensor", scale: "Tensor", zero: "Tensor | None" = None) -> "Tensor":
    if at.get("block_size", 0):
        raise NotImplementedError("DequantizeLinear in blocks")
    spread = [-1 if i == at.get("axis", 1) % max(1, x.dim()) else 1 for i in range(x.dim())] if scale.numel() > 1 else []
    centred = x.to(scale.dtype) if zero is None else x.to(scale.dtype) - zero.to(scale.dtype).reshape(spread)
    return centred * scale.reshape(spread)


def _constant(at: Attributes) -> "Tensor":
    import torch

    (name, value), *_ = at.values.items()
    if name == "value":
        return torch.from_numpy(value.copy())
    if name not in ("value_int", "value_ints", "value_float", "value_floats"):
        raise NotImplementedError(f"Constant with {name}")
    return torch.tensor(value, dtype=torch.int64 if name.startswith("value_int") else torch.float32)


QUANTIZING: Mapping[str, Callable[..., Any]] = {"DequantizeLinear": _dequantize, "Constant": _constant}
