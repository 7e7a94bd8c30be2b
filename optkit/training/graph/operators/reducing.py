"""Operators that compute along axes: sums and the like, softmax, normalizations."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from optkit.training.graph.operators.attributes import Attributes

if TYPE_CHECKING:
    from torch import Tensor


def _reduction(reduce: "Callable[[Tensor, tuple[int, ...], bool], Tensor]") -> Callable[..., Any]:
    def compute(at: Attributes, x: "Tensor", axes: "Tensor | None" = None) -> "Tensor":
        wanted = at.get("axes") if axes is None else tuple(axes.tolist())
        if not wanted and at.get("noop_with_empty_axes", 0):
            return x
        return reduce(x, tuple(wanted or range(x.dim())), bool(at.get("keepdims", 1)))

    return compute


def _product(x: "Tensor", axes: tuple[int, ...], keep: bool) -> "Tensor":
    for axis in sorted((axis % x.dim() for axis in axes), reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


def _along_axis(name: str) -> Callable[..., Any]:
    def compute(at: Attributes, x: "Tensor") -> "Tensor":
        made: Tensor = getattr(x, name)(at.get("axis", -1))
        return made

    return compute


def _arg(name: str) -> Callable[..., Any]:
    def compute(at: Attributes, x: "Tensor") -> "Tensor":
        if at.get("select_last_index", 0):
            raise NotImplementedError("ArgMax that selects the last")
        made: Tensor = getattr(x, name)(dim=at.get("axis", 0), keepdim=bool(at.get("keepdims", 1)))
        return made

    return compute


def _cumulative_sum(at: Attributes, x: "Tensor", axis: "Tensor") -> "Tensor":
    if at.get("exclusive", 0) or at.get("reverse", 0):
        raise NotImplementedError("CumSum that is exclusive or reversed")
    return x.cumsum(int(axis))


def _layer_norm(at: Attributes, x: "Tensor", scale: "Tensor", bias: "Tensor | None" = None) -> "Tensor":
    import torch

    axis = at.get("axis", -1) % x.dim()
    shape = x.shape[axis:]
    made = torch.nn.functional.layer_norm(x, shape, eps=at.get("epsilon", 1e-5)) * scale
    return made if bias is None else made + bias


def _rms_norm(at: Attributes, x: "Tensor", scale: "Tensor") -> "Tensor":
    axes = tuple(range(at.get("axis", -1) % x.dim(), x.dim()))
    return x * ((x**2).mean(axes, keepdim=True) + at.get("epsilon", 1e-5)).rsqrt() * scale


def _batch_norm(at: Attributes, x: "Tensor", scale: "Tensor", bias: "Tensor", mean: "Tensor", variance: "Tensor") -> "Tensor":
    import torch

    return torch.nn.functional.batch_norm(x, mean, variance, scale, bias, eps=at.get("epsilon", 1e-5))


def _instance_norm(at: Attributes, x: "Tensor", scale: "Tensor", bias: "Tensor") -> "Tensor":
    import torch

    return torch.nn.functional.instance_norm(x, weight=scale, bias=bias, eps=at.get("epsilon", 1e-5))


def _group_norm(at: Attributes, x: "Tensor", scale: "Tensor", bias: "Tensor") -> "Tensor":
    import torch

    groups = at.get("num_groups")
    if len(scale) == groups != x.shape[1]:
        raise NotImplementedError("GroupNormalization with a scale for each group")
    return torch.nn.functional.group_norm(x, groups, scale, bias, at.get("epsilon", 1e-5))


def _lp_norm(at: Attributes, x: "Tensor") -> "Tensor":
    axis, power = at.get("axis", -1), at.get("p", 2)
    return x / x.norm(p=power, dim=axis, keepdim=True)


REDUCING: Mapping[str, Callable[..., Any]] = {
    "ReduceMean": _reduction(lambda x, axes, keep: x.mean(axes, keepdim=keep)),
    "ReduceSum": _reduction(lambda x, axes, keep: x.sum(axes, keepdim=keep)),
    "ReduceMax": _reduction(lambda x, axes, keep: x.amax(axes, keepdim=keep)),
    "ReduceMin": _reduction(lambda x, axes, keep: x.amin(axes, keepdim=keep)),
    "ReduceL1": _reduction(lambda x, axes, keep: x.abs().sum(axes, keepdim=keep)),
    "ReduceL2": _reduction(lambda x, axes, keep: (x**2).sum(axes, keepdim=keep).sqrt()),
    "ReduceSumSquare": _reduction(lambda x, axes, keep: (x**2).sum(axes, keepdim=keep)),
    "ReduceLogSumExp": _reduction(lambda x, axes, keep: x.logsumexp(axes, keepdim=keep)),
    "ReduceProd": _reduction(_product),
    "Softmax": _along_axis("softmax"),
    "LogSoftmax": _along_axis("log_softmax"),
    "ArgMax": _arg("argmax"),
    "ArgMin": _arg("argmin"),
    "CumSum": _cumulative_sum,
    "LayerNormalization": _layer_norm,
    "RMSNormalization": _rms_norm,
    "BatchNormalization": _batch_norm,
    "InstanceNormalization": _instance_norm,
    "GroupNormalization": _group_norm,
    "LpNormalization": _lp_norm,
}
