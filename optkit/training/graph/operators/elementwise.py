"""Operators that compute each number from the numbers at its place."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from optkit.training.graph.operators.attributes import Attributes

if TYPE_CHECKING:
    from torch import Tensor

SELU = (1.67326319217681884765625, 1.05070102214813232421875)
"""alpha, gamma: the operator's defaults."""


def _plainly(name: str) -> Callable[..., Any]:
    """The function of PyTorch that does just this."""

    def compute(_: Attributes, *inputs: "Tensor") -> "Tensor":
        import torch

        made: Tensor = getattr(torch, name)(*together(*inputs))
        return made

    return compute


def _folded(name: str) -> Callable[..., Any]:
    """A function of two, over any number of inputs."""

    def compute(_: Attributes, *inputs: "Tensor") -> "Tensor":
        import torch

        found = together(*inputs)
        made = found[0]
        for each in found[1:]:
            made = getattr(torch, name)(made, each)
        return made

    return compute


def together(*inputs: "Tensor") -> "list[Tensor]":
    """Inputs on one device: small constants may have stayed behind on the CPU."""
    device = next((each.device for each in inputs if each.device.type != "cpu"), None)
    return [each if device is None else each.to(device) for each in inputs]


def _divide(_: Attributes, a: "Tensor", b: "Tensor") -> "Tensor":
    import torch

    a, b = together(a, b)
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def _mean(at: Attributes, *inputs: "Tensor") -> "Tensor":
    made: Tensor = _folded("add")(at, *inputs) / len(inputs)
    return made


def _modulo(at: Attributes, a: "Tensor", b: "Tensor") -> "Tensor":
    import torch

    return (torch.fmod if at.get("fmod", 0) else torch.remainder)(*together(a, b))


def _clip(_: Attributes, x: "Tensor", low: "Tensor | None" = None, high: "Tensor | None" = None) -> "Tensor":
    return x if low is None and high is None else x.clamp(*(None if each is None else each.item() for each in (low, high)))


def _cast(at: Attributes, x: "Tensor", *like: "Tensor") -> "Tensor":
    kind = like[0].dtype if like else torch_dtype(ir.DataType(at.get("to")))
    return x.to(kind)


def torch_dtype(kind: ir.DataType) -> Any:
    import torch

    return torch.bfloat16 if kind == ir.DataType.BFLOAT16 else getattr(torch, kind.numpy().name)


def _leaky(at: Attributes, x: "Tensor") -> "Tensor":
    import torch

    return torch.nn.functional.leaky_relu(x, at.get("alpha", 0.01))


def _prelu(_: Attributes, x: "Tensor", slope: "Tensor") -> "Tensor":
    return x.clamp(min=0) + slope * x.clamp(max=0)


def _elu(at: Attributes, x: "Tensor") -> "Tensor":
    import torch

    return torch.nn.functional.elu(x, at.get("alpha", 1.0))


def _celu(at: Attributes, x: "Tensor") -> "Tensor":
    import torch

    return torch.nn.functional.celu(x, at.get("alpha", 1.0))


def _selu(at: Attributes, x: "Tensor") -> "Tensor":
    import torch

    alpha, gamma = at.get("alpha", SELU[0]), at.get("gamma", SELU[1])
    return gamma * torch.nn.functional.elu(x, alpha)


def _hard_sigmoid(at: Attributes, x: "Tensor") -> "Tensor":
    return (at.get("alpha", 0.2) * x + at.get("beta", 0.5)).clamp(0, 1)


def _hard_swish(_: Attributes, x: "Tensor") -> "Tensor":
    import torch

    return torch.nn.functional.hardswish(x)


def _gelu(at: Attributes, x: "Tensor") -> "Tensor":
    import torch

    return torch.nn.functional.gelu(x, approximate=at.get("approximate", "none"))


def _mish(_: Attributes, x: "Tensor") -> "Tensor":
    import torch

    return torch.nn.functional.mish(x)


def _softplus(_: Attributes, x: "Tensor") -> "Tensor":
    import torch

    return torch.nn.functional.softplus(x)


def _thresholded(at: Attributes, x: "Tensor") -> "Tensor":
    import torch

    return torch.where(x > at.get("alpha", 1.0), x, torch.zeros_like(x))


SAME_NAME = (
    "Relu",
    "Sigmoid",
    "Tanh",
    "Erf",
    "Exp",
    "Log",
    "Sqrt",
    "Abs",
    "Neg",
    "Reciprocal",
    "Floor",
    "Ceil",
    "Round",
    "Sign",
    "Sin",
    "Cos",
)
"""Functions that PyTorch calls as ONNX does, but for capitals."""
PAIRS = {
    "Sub": "sub",
    "Pow": "pow",
    "Equal": "eq",
    "Greater": "gt",
    "GreaterOrEqual": "ge",
    "Less": "lt",
    "LessOrEqual": "le",
    "And": "logical_and",
    "Or": "logical_or",
    "Xor": "logical_xor",
    "Not": "logical_not",
    "Where": "where",
}
ELEMENTWISE: Mapping[str, Callable[..., Any]] = {
    **{name: _plainly(name.lower()) for name in (*SAME_NAME, "IsNaN")},
    **{name: _plainly(function) for name, function in PAIRS.items()},
    **{
        name: _folded(function) for name, function in {"Add": "add", "Sum": "add", "Mul": "mul", "Max": "maximum", "Min": "minimum"}.items()
    },
    "Div": _divide,
    "Mean": _mean,
    "Mod": _modulo,
    "Clip": _clip,
    "Cast": _cast,
    "CastLike": _cast,
    "Identity": lambda _, x: x,
    "Dropout": lambda _, x, *rest: x,
    "LeakyRelu": _leaky,
    "PRelu": _prelu,
    "Elu": _elu,
    "Celu": _celu,
    "Selu": _selu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "Gelu": _gelu,
    "Mish": _mish,
    "Softplus": _softplus,
    "Softsign": lambda _, x: x / (1 + x.abs()),
    "ThresholdedRelu": _thresholded,
}
