"""What float16 makes of a constant, looked at once and in pieces: of large models there is no room for copies."""

from contextlib import suppress
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from optkit.quantization.graphs import constant_array, constant_tensor
from optkit.quantization.half.operators import LARGEST, SMALLEST

BLURRED = 0.01
"""Error over size: float16 leaves 0.0003 of what is within its range."""
AT_ONCE = 1 << 20
"""Numbers."""
NOTED = "optkit_half"
"""Under which it is kept on the tensor."""


class Seen(NamedTuple):
    """What becomes of a constant."""

    overflows: bool
    """It holds a number that is larger than float16's largest; infinity is not."""
    vanishes: bool
    """It is a single number, such as an epsilon, that float16 would make zero."""
    blurs: bool
    """Rounding leaves a larger error than a hundredth of it: weights so small that float16 has few numbers for them, or none."""


def look_at(value: ir.Value) -> Seen:
    """Nothing of what is no constant."""
    tensor = constant_tensor(value)
    if tensor is None:
        return Seen(False, False, False)
    if NOTED not in tensor.meta:
        tensor.meta[NOTED] = _look(value)
        let_go(value)
    found: Seen = tensor.meta[NOTED]
    return found


def _look(value: ir.Value) -> Seen:
    array = constant_array(value)
    assert array is not None
    flat, overflows, signal, noise = array.reshape(-1), False, 0.0, 0.0
    for start in range(0, flat.size, AT_ONCE):
        part = flat[start : start + AT_ONCE]
        finite = part[np.isfinite(part)]
        overflows |= bool((np.abs(finite) > LARGEST).any())
        wide = finite.astype(np.float64)
        with np.errstate(over="ignore"):
            error = wide - wide.astype(np.float16)
        signal, noise = signal + float(wide @ wide), noise + float(error @ error)
    vanishes = flat.size == 1 and 0 < abs(float(flat[0])) < SMALLEST
    return Seen(overflows, vanishes, flat.size > 1 and not overflows and noise > BLURRED**2 * signal)


def let_go(value: ir.Value) -> None:
    """Close the mapping of a weight beside the model, whose pages count as memory; it is opened anew when it is read again."""
    tensor = constant_tensor(value)
    if isinstance(tensor, ir.ExternalTensor):
        with suppress(BufferError):  # somebody reads it yet
            tensor.release()
