"""From a picture to an array: resize, crop, scale, mean, std, layout."""

from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt

from optkit.arrays import Array
from optkit.datasets._sidecar import Sidecar
from optkit.errors import DataError
from optkit.inputs import Input

if TYPE_CHECKING:
    from PIL.Image import Image

Size = PositiveInt | tuple[PositiveInt, PositiveInt]


def _fraction(value: object) -> object:
    """`1/255` is text in YAML."""
    try:
        return float(Fraction(value.replace(" ", ""))) if isinstance(value, str) else value
    except ZeroDivisionError as error:
        raise ValueError("there is no division by zero") from error


class ImageSteps(Sidecar):
    """What `DATA.yaml` may say of images; the steps are done in this order."""

    color: Literal["rgb", "bgr", "gray"] | None = Field(None, description="rgb, bgr or gray; gray where the model takes one channel")
    resize: Size | None = Field(None, description="a number is the length of the shorter side, [height, width] the size")
    interpolation: Literal["nearest", "bilinear", "bicubic"] = Field("bilinear", description="nearest, bilinear or bicubic")
    crop: Size | None = Field(None, description="[height, width] or the side of a square, cut out of the centre")
    scale: Annotated[PositiveFloat | None, BeforeValidator(_fraction)] = Field(
        None, description="pixels 0..255 times this; 1/255 for float inputs"
    )
    mean: float | tuple[float, ...] = Field(0.0, description="subtracted after scaling; one number, or one per channel")
    std: PositiveFloat | tuple[PositiveFloat, ...] = Field(1.0, description="divided by after that; one number, or one per channel")
    layout: Literal["NCHW", "NHWC"] | None = Field(None, description="NCHW or NHWC; read off the model where it shows")
    classes: tuple[str, ...] = Field((), description="names of the classes in the model's order; sorted by name without it")


def settle(steps: ImageSteps, port: Input, where: str) -> ImageSteps:
    """The steps with what the model's input decides filled in. Raises DataError where that cannot be told."""
    if len(port.shape) != 4:
        what = f"input {port.name!r} has {len(port.shape)} axes; an image needs 4: batch, channels, height, width in some order"
        raise DataError(what, where=where, hint="give arrays in an .npz instead")
    shown = [name for name, size in (("NCHW", port.shape[1]), ("NHWC", port.shape[3])) if size in (1, 3)]
    layout = steps.layout or (shown[0] if len(shown) == 1 else None)
    if layout is None:
        raise DataError(f"input {port.name!r} does not show its layout", where=where, hint="add `layout: NCHW` or `layout: NHWC`")
    channels = port.shape[1 if layout == "NCHW" else 3]
    color = steps.color or ("gray" if channels == 1 else "rgb")
    for key, given in (("mean", steps.mean), ("std", steps.std)):
        if isinstance(given, tuple) and len(given) != (1 if color == "gray" else 3):
            raise DataError(f"{key} has {len(given)} numbers for a {color} image", where=where, hint="give one number, or one per channel")
    scale = steps.scale if steps.scale is not None else 1 / 255 if "float" in port.dtype else 1.0
    return steps.model_copy(update={"layout": layout, "color": color, "scale": scale})


def prepare(image: "Image", steps: ImageSteps, dtype: str) -> Array:
    """One example: [channels, height, width] or [height, width, channels], float32 unless nothing turns pixels into fractions."""
    picture = image.convert("L" if steps.color == "gray" else "RGB")
    if steps.resize is not None:
        picture = picture.resize(_size(steps.resize, picture), {"nearest": 0, "bilinear": 2, "bicubic": 3}[steps.interpolation])
    if steps.crop is not None:
        picture = _crop(picture, steps.crop)
    pixels = np.asarray(picture)
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels[:, :, ::-1] if steps.color == "bgr" else pixels
    if "float" in dtype or (steps.scale, steps.mean, steps.std) != (1.0, 0.0, 1.0):
        scaled = pixels.astype(np.float32) * np.float32(steps.scale)
        pixels = (scaled - np.asarray(steps.mean, np.float32)) / np.asarray(steps.std, np.float32)
    return pixels.transpose(2, 0, 1) if steps.layout == "NCHW" else pixels


def _size(wanted: int | tuple[int, int], picture: "Image") -> tuple[int, int]:
    """(width, height), as Pillow says it; a single number keeps the proportions, the longer side being cut to whole pixels."""
    if isinstance(wanted, tuple):
        return wanted[1], wanted[0]
    short = min(picture.size)
    width, height = (wanted if side == short else int(wanted * side / short) for side in picture.size)
    return width, height


def _crop(picture: "Image", wanted: int | tuple[int, int]) -> "Image":
    height, width = wanted if isinstance(wanted, tuple) else (wanted, wanted)
    if width > picture.width or height > picture.height:
        raise ValueError(f"it is {picture.height} x {picture.width}, smaller than the crop {height} x {width}")
    left, top = round((picture.width - width) / 2), round((picture.height - height) / 2)
    return picture.crop((left, top, left + width, top + height))
