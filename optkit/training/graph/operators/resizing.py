"""Resize, in the modes in which ONNX and PyTorch agree."""

from typing import TYPE_CHECKING

from optkit.training.graph.operators.attributes import Attributes

if TYPE_CHECKING:
    from torch import Tensor

COPYING = {("asymmetric", "floor"), ("half_pixel", "round_prefer_floor"), ("half_pixel", "round_prefer_ceil")}
"""Where nearest pixels, at a whole factor, are each pixel so many times."""
MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}


def resize(
    at: Attributes, x: "Tensor", roi: "Tensor | None" = None, scales: "Tensor | None" = None, sizes: "Tensor | None" = None
) -> "Tensor":
    """Nearest by whole factors; linear with half_pixel, pytorch_half_pixel or align_corners. Raises NotImplementedError for the rest."""
    import torch

    if at.get("axes") or at.get("antialias", 0) or x.dim() < 3:
        raise NotImplementedError("Resize with axes or antialias")
    if sizes is not None:
        wanted = [int(size) for size in sizes.tolist()]
    elif scales is not None:
        wanted = [int(size * scale) for size, scale in zip(x.shape, scales.tolist(), strict=True)]
    else:
        raise NotImplementedError("Resize without scales and sizes")
    if tuple(wanted[:2]) != tuple(x.shape[:2]):
        raise NotImplementedError("Resize of the first two axes")
    mode, place = at.get("mode", "nearest"), at.get("coordinate_transformation_mode", "half_pixel")
    whole = all(new % old == 0 for new, old in zip(wanted, x.shape, strict=True))
    if mode == "nearest" and whole and (place, at.get("nearest_mode", "round_prefer_floor")) in COPYING:
        for axis in range(2, x.dim()):
            x = x.repeat_interleave(wanted[axis] // x.shape[axis], axis)
        return x
    if mode == "linear" and place in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        corners = place == "align_corners"
        made: Tensor = torch.nn.functional.interpolate(x, wanted[2:], mode=MODES[x.dim() - 2], align_corners=corners)
        return made
    raise NotImplementedError(f"Resize ({mode}, {place})")
