"""Operators that copy, pick and arrange numbers, and those that compute shapes."""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from optkit.training.graph.operators.attributes import Attributes
from optkit.training.graph.operators.resizing import resize

if TYPE_CHECKING:
    from torch import Tensor


def _shape(at: Attributes, x: "Tensor") -> "Tensor":
    import torch

    return torch.tensor(list(x.shape)[at.get("start", 0) : at.get("end")], dtype=torch.int64)


def _size(_: Attributes, x: "Tensor") -> "Tensor":
    import torch

    return torch.tensor(x.numel(), dtype=torch.int64)


def _reshape(at: Attributes, x: "Tensor", target: "Tensor") -> "Tensor":
    sizes = target.tolist()
    if not at.get("allowzero", 0):
        sizes = [x.shape[i] if size == 0 else size for i, size in enumerate(sizes)]
    return x.reshape(sizes)


def _flatten(at: Attributes, x: "Tensor") -> "Tensor":
    axis = at.get("axis", 1)
    axis += x.dim() if axis < 0 else 0
    return x.reshape(math.prod(x.shape[:axis]), -1) if x.numel() else x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


def _transpose(at: Attributes, x: "Tensor") -> "Tensor":
    return x.permute(tuple(at.get("perm") or reversed(range(x.dim()))))


def _concat(at: Attributes, *inputs: "Tensor") -> "Tensor":
    import torch

    from optkit.training.graph.operators.elementwise import together

    return torch.cat(together(*inputs), at.get("axis"))


def _split(at: Attributes, x: "Tensor", split: "Tensor | None" = None) -> "tuple[Tensor, ...]":
    axis = at.get("axis", 0)
    sizes = split.tolist() if split is not None else at.get("split")
    if sizes is None:
        each = -(-x.shape[axis] // at.outputs)
        sizes = [each] * (at.outputs - 1) + [x.shape[axis] - each * (at.outputs - 1)]
    made: tuple[Tensor, ...] = x.split(list(sizes), axis)
    return made


def _slice(
    _: Attributes, x: "Tensor", starts: "Tensor", ends: "Tensor", axes: "Tensor | None" = None, steps: "Tensor | None" = None
) -> "Tensor":
    import torch

    first, last = starts.tolist(), ends.tolist()
    along = axes.tolist() if axes is not None else range(len(first))
    by = steps.tolist() if steps is not None else [1] * len(first)
    for start, end, axis, step in zip(first, last, along, by, strict=True):
        picked = range(x.shape[axis])[slice(start, end if end > -(2**62) else None, step)]
        if step > 0:
            x = x.narrow(axis, picked.start, len(range(picked.start, max(picked.start, picked.stop))))
            x = x if step == 1 else x[(slice(None),) * (axis % x.dim()) + (slice(None, None, step),)]
        else:
            x = x.index_select(axis, torch.tensor(list(picked), device=x.device))
    return x


def _gather(at: Attributes, x: "Tensor", indices: "Tensor") -> "Tensor":
    axis = at.get("axis", 0) % x.dim()
    places = indices.to(x.device).long()
    flat = places.reshape(-1)
    picked = x.index_select(axis, flat.where(flat >= 0, flat + x.shape[axis]))
    return picked.reshape((*x.shape[:axis], *places.shape, *x.shape[axis + 1 :]))


def _gather_elements(at: Attributes, x: "Tensor", indices: "Tensor") -> "Tensor":
    axis = at.get("axis", 0)
    places = indices.to(x.device).long()
    return x.gather(axis, places.where(places >= 0, places + x.shape[axis]))


def _axes(at: Attributes, axes: "Tensor | None") -> tuple[int, ...] | None:
    found = at.get("axes") if axes is None else tuple(axes.reshape(-1).tolist())
    return None if found is None else tuple(found)


def _squeeze(at: Attributes, x: "Tensor", axes: "Tensor | None" = None) -> "Tensor":
    wanted = _axes(at, axes)
    return x.squeeze() if wanted is None else x.squeeze(wanted)


def _unsqueeze(at: Attributes, x: "Tensor", axes: "Tensor | None" = None) -> "Tensor":
    wanted = _axes(at, axes) or ()
    rank = x.dim() + len(wanted)
    for axis in sorted(axis % rank for axis in wanted):
        x = x.unsqueeze(axis)
    return x


def _expand(_: Attributes, x: "Tensor", shape: "Tensor") -> "Tensor":
    import torch

    return x.expand(torch.broadcast_shapes(x.shape, tuple(shape.tolist())))


def _tile(_: Attributes, x: "Tensor", repeats: "Tensor") -> "Tensor":
    return x.repeat(repeats.tolist())


def _constant_of_shape(at: Attributes, shape: "Tensor") -> "Tensor":
    import torch

    value = at.get("value")
    filled = torch.zeros(1) if value is None else torch.from_numpy(value.copy())
    return filled.reshape(()).expand(tuple(shape.tolist())).clone()


def _range(_: Attributes, start: "Tensor", limit: "Tensor", delta: "Tensor") -> "Tensor":
    import torch

    return torch.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype, device=start.device)


def _pad(at: Attributes, x: "Tensor", pads: "Tensor", value: "Tensor | None" = None, axes: "Tensor | None" = None) -> "Tensor":
    import torch

    along = [axis % x.dim() for axis in axes.tolist()] if axes is not None else list(range(x.dim()))
    sizes, count = pads.tolist(), len(along)
    ends = {axis: (sizes[i], sizes[i + count]) for i, axis in enumerate(along)}
    mode = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}[at.get("mode", "constant")]
    flat = [end for axis in reversed(range(x.dim())) for end in ends.get(axis, (0, 0))]
    if mode == "constant":
        return torch.nn.functional.pad(x, flat, value=0.0 if value is None else value.item())
    if any(any(ends.get(axis, ())) for axis in (0, 1)):
        raise NotImplementedError(f"Pad ({mode}) of the first two axes")
    return torch.nn.functional.pad(x, flat[: 2 * (x.dim() - 2)], mode=mode)


def _depth_to_space(at: Attributes, x: "Tensor") -> "Tensor":
    size, (n, c, h, w) = at.get("blocksize"), x.shape
    if at.get("mode", "DCR") == "CRD":
        return x.reshape(n, c // size**2, size, size, h, w).permute(0, 1, 4, 2, 5, 3).reshape(n, c // size**2, h * size, w * size)
    return x.reshape(n, size, size, c // size**2, h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // size**2, h * size, w * size)


def _space_to_depth(at: Attributes, x: "Tensor") -> "Tensor":
    size, (n, c, h, w) = at.get("blocksize"), x.shape
    return x.reshape(n, c, h // size, size, w // size, size).permute(0, 3, 5, 1, 2, 4).reshape(n, c * size**2, h // size, w // size)


def _triangle(at: Attributes, x: "Tensor", diagonal: "Tensor | None" = None) -> "Tensor":
    by = 0 if diagonal is None else int(diagonal)
    return x.triu(by) if at.get("upper", 1) else x.tril(by)


SHAPING: Mapping[str, Callable[..., Any]] = {
    "Shape": _shape,
    "Size": _size,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": _transpose,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Expand": _expand,
    "Tile": _tile,
    "ConstantOfShape": _constant_of_shape,
    "Range": _range,
    "Pad": _pad,
    "Resize": resize,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Trilu": _triangle,
}
