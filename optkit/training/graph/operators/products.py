"""Convolutions and matrix products."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from optkit.training.graph.operators.attributes import Attributes
from optkit.training.graph.operators.padding import pad_spatially, padding_of

if TYPE_CHECKING:
    from torch import Tensor


def _convolve(at: Attributes, x: "Tensor", weight: "Tensor", bias: "Tensor | None" = None) -> "Tensor":
    import torch

    kernel = tuple(weight.shape[2:])
    strides, dilations = _each(at, "strides", kernel), _each(at, "dilations", kernel)
    before, after = padding_of(at, x.shape[2:], kernel, strides, dilations)
    if before != after:
        x, before = pad_spatially(x, before, after, 0.0), (0,) * len(kernel)
    convolve = (torch.nn.functional.conv1d, torch.nn.functional.conv2d, torch.nn.functional.conv3d)[len(kernel) - 1]
    made: Tensor = convolve(x, weight, bias, strides, before, dilations, at.get("group", 1))
    return made


def _convolve_transposed(at: Attributes, x: "Tensor", weight: "Tensor", bias: "Tensor | None" = None) -> "Tensor":
    import torch

    kernel = tuple(weight.shape[2:])
    strides, dilations = _each(at, "strides", kernel), _each(at, "dilations", kernel)
    pads, more = at.get("pads", (0,) * 2 * len(kernel)), tuple(at.get("output_padding", (0,) * len(kernel)))
    if at.get("output_shape") or at.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise NotImplementedError("ConvTranspose with output_shape or auto_pad")
    before, after = tuple(pads[: len(kernel)]), tuple(pads[len(kernel) :])
    if before != after:
        raise NotImplementedError("ConvTranspose with pads that differ at the two ends")
    functional = torch.nn.functional
    convolve = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)[len(kernel) - 1]
    made: Tensor = convolve(x, weight, bias, strides, before, more, at.get("group", 1), dilations)
    return made


def _each(at: Attributes, name: str, kernel: Sequence[int]) -> tuple[int, ...]:
    return tuple(at.get(name) or (1,) * len(kernel))


def _gemm(at: Attributes, a: "Tensor", b: "Tensor", c: "Tensor | None" = None) -> "Tensor":
    a, b = a.t() if at.get("transA", 0) else a, b.t() if at.get("transB", 0) else b
    alpha, beta = at.get("alpha", 1.0), at.get("beta", 1.0)
    made = a @ b
    made = made if alpha == 1 else alpha * made
    return made if c is None else made + (c if beta == 1 else beta * c)


def _multiply(_: Attributes, a: "Tensor", b: "Tensor") -> "Tensor":
    return a @ b


def _einsum(at: Attributes, *inputs: "Tensor") -> "Tensor":
    import torch

    made: Tensor = torch.einsum(at.get("equation"), *inputs)
    return made


PRODUCTS: Mapping[str, Callable[..., Any]] = {
    "Conv": _convolve,
    "ConvTranspose": _convolve_transposed,
    "Gemm": _gemm,
    "MatMul": _multiply,
    "Einsum": _einsum,
}
