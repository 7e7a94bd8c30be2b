"""Pools: each number from a window."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from optkit.training.graph.operators.attributes import Attributes
from optkit.training.graph.operators.padding import pad_spatially, padding_of

if TYPE_CHECKING:
    from torch import Tensor


def _window(at: Attributes, x: "Tensor") -> tuple[tuple[int, ...], ...]:
    """Kernel, strides, dilations, padding before and after; where sizes are rounded up the padding after grows to that."""
    kernel = tuple(at.get("kernel_shape"))
    ones = (1,) * len(kernel)
    strides, dilations = tuple(at.get("strides") or ones), tuple(at.get("dilations") or ones)
    before, after = padding_of(at, x.shape[2:], kernel, strides, dilations)
    if at.get("ceil_mode", 0):
        grown = []
        for i, size in enumerate(x.shape[2:]):
            free = size + before[i] + after[i] - dilations[i] * (kernel[i] - 1) - 1
            count = -(-free // strides[i]) + 1
            if (count - 1) * strides[i] >= size + before[i]:
                count -= 1  # a window must begin within the input or the padding before it
            grown.append(max(after[i], after[i] + (count - 1) * strides[i] - free))
        after = tuple(grown)
    return kernel, strides, dilations, before, after


def _max_pool(at: Attributes, x: "Tensor") -> "Tensor":
    import torch

    if at.outputs > 1:
        raise NotImplementedError("MaxPool with indices")
    kernel, strides, dilations, before, after = _window(at, x)
    pool = (torch.nn.functional.max_pool1d, torch.nn.functional.max_pool2d, torch.nn.functional.max_pool3d)[len(kernel) - 1]
    made: Tensor = pool(pad_spatially(x, before, after, -torch.inf), kernel, strides, 0, dilations)
    return made


def _average_pool(at: Attributes, x: "Tensor") -> "Tensor":
    """What was put around counts only where `count_include_pad` says so; what was added to round sizes up never does."""
    import torch

    kernel, strides, dilations, before, after = _window(at, x)
    if set(dilations) != {1}:
        raise NotImplementedError("AveragePool with dilations")
    functional = torch.nn.functional
    pool = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)[len(kernel) - 1]
    made: Tensor = pool(pad_spatially(x, before, after, 0.0), kernel, strides)
    counted = torch.ones((1, 1, *x.shape[2:]), dtype=x.dtype, device=x.device)
    if at.get("count_include_pad", 0):
        asked = padding_of(at, x.shape[2:], kernel, strides, dilations)
        counted = pad_spatially(counted, *asked, 1.0)
        before, after = (0,) * len(kernel), tuple(max(0, a - b) for a, b in zip(after, asked[1], strict=True))
    if any(before) or any(after):
        made = made / pool(pad_spatially(counted, before, after, 0.0), kernel, strides)
    return made


def _global(reduce: str) -> Callable[..., Any]:
    def compute(_: Attributes, x: "Tensor") -> "Tensor":
        made: Tensor = getattr(x, reduce)(dim=tuple(range(2, x.dim())), keepdim=True)
        return made

    return compute


POOLING: Mapping[str, Callable[..., Any]] = {
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global("mean"),
    "GlobalMaxPool": _global("amax"),
}
