"""The same answers on every CPU: pairs of products that fit 16 bits.

x86 CPUs without VNNI multiply uint8 activations by int8 weights with VPMADDUBSW: two neighbouring products are added in 16 bits,
and what leaves [-32768, 32767] is cut off without a word. VNNI, AMX and ARM's kernels add in 32 bits (for weights of [-127, 127]).
An activation can be anything from 0 to 255 once it is saturated to uint8, whatever calibration saw, so a pair is safe if and only if
255 × (sum of its positive weights) <= 32767 and 255 × (sum of its negative weights) >= -32768: two weights of one sign must not
exceed 128 together, two of opposite signs always fit.

Which weights are neighbours is exact, read off ONNX Runtime's sources and confirmed to the last bit by running on an emulated
Haswell (tests/real/test_saturating_kernels.py): `onnxruntime/core/mlas/lib/x86_64/QgemmU8X8KernelAvx2.S`, `QgemvU8S8KernelAvx2.S`,
`QgemmU8X8KernelAvx512Core.S` and `qgemm_kernel_sse41.cpp` pair rows 2i and 2i + 1 of the matrix that is summed over (panels of K
start at multiples of 4); `core/providers/cpu/quantization/qlinearconv.cc` turns filters into such a matrix channels last, K = kernel
position × input channels of the group + input channel; `ConvSymKernelAvx2.S` takes multiples of 4 input channels at one kernel
position, which are the same pairs. Depthwise kernels (`qdwconv_avx2.cpp`, `ConvSymKernelAvx2.S`) widen before they multiply.
"""

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.graphs import constant_tensor
from optkit.quantization.integer_graph.channel_runs import outputs_to_be
from optkit.quantization.operators import attribute, channel_axis, empty_channels

LARGEST_ACTIVATION = 255
LARGEST_PAIR = 128
"""Of two weights of one sign: 255 × 128 = 32640 fits 16 bits, 255 × 129 = 32895 does not."""
WIDENINGS = (0.5, 0.75, 0.9, 0.95, 0.98, 1.0)
"""Scales to try besides a channel's own (0): 1 is the one at which none of its pairs is too large, at most twice as wide."""
ELEMENTS_AT_ONCE = 1 << 18


def worst_pair_sums(node: ir.Node, integers: Array) -> tuple[Array, Array]:
    """Largest and smallest 16-bit sum that each output channel of a Conv, Gemm or MatMul can ask for; zeros where none is formed.

    `integers` is the int8 weight in the node's own layout. int64, one number per output channel.
    """
    first, second = _pairs(_rows(node, integers).astype(np.int64))
    if not has_pairs(node, integers.shape):
        first, second = first * 0, second * 0
    high = (np.maximum(first, 0) + np.maximum(second, 0)).max(axis=1, initial=0)
    low = (np.minimum(first, 0) + np.minimum(second, 0)).min(axis=1, initial=0)
    return high * LARGEST_ACTIVATION, low * LARGEST_ACTIVATION


def has_pairs(node: ir.Node, shape: tuple[int, ...]) -> bool:
    """Whether the kernels add products in pairs; depthwise convolutions do not."""
    return not (node.op_type == "Conv" and shape[1] == 1 and shape[0] == int(attribute(node, "group", 1)))


def fit_pairs(node: ir.Node, weight: Array, integers: Array, scale: Array) -> tuple[Array, Array]:
    """Weights of a Conv, Gemm or MatMul whose pair sums fit 16 bits, and their scales; channels in which they fit stay as they are.

    `integers` × `scale` (float32, one per output channel, or one in all) stands for `weight`. Of every other channel the cheapest
    cure by squared weight error is taken: pull in the two weights of each pair that is too large, by as little as it takes, or round
    the channel anew on a wider scale first, with fewer such pairs or none. Integers that are not the nearest ones were chosen with
    care, so their channel keeps its scale. Pure: nothing is changed in place; the same arguments give the same result.
    """
    if not has_pairs(node, weight.shape):
        return integers, scale
    still_float = constant_tensor(node.inputs[1]) is not None
    empty = empty_channels(node, (outputs_to_be(node, weight.shape), *weight.shape[1:])) if still_float else 0
    if empty:  # of a layer that is still float: they will stand between one position and the next
        filled, scales = fit_pairs(node, _filled(weight, empty), _filled(integers, empty), scale)
        return np.ascontiguousarray(filled[:, : weight.shape[1]]), scales
    fitted, scales = np.array(integers), np.array(scale)
    source, target = _ordered(node, weight), _ordered(node, fitted)
    own_scale = scale.size == len(source)
    each = np.broadcast_to(scale.reshape(-1), len(source))
    step = max(1, ELEMENTS_AT_ONCE // max(1, weight.size // max(1, len(source))))
    for start in range(0, len(source), step):
        part = slice(start, start + step)
        rows = np.ascontiguousarray(target[part]).reshape(len(target[part]), -1)
        crowded = _too_large(rows).any(axis=1)
        if not crowded.any():
            continue
        here = np.flatnonzero(crowded) + start
        real = np.ascontiguousarray(source[part])[crowded].reshape(len(here), -1)
        cured, wider = _cheapest(real / each[here, None], rows[crowded], each[here], may_widen=own_scale)
        target[here] = cured.reshape((len(here), *target.shape[1:]))
        if own_scale:
            scales.reshape(-1)[here] = wider
    return fitted, scales


def _filled(array: Array, empty: int) -> Array:
    return np.pad(array, [(0, 0), (0, empty)] + [(0, 0)] * (array.ndim - 2))


def _cheapest(real: Array, integers: Array, scale: Array, *, may_widen: bool) -> tuple[Array, Array]:
    """The best of WIDENINGS for every row. `real` is the weight in steps of `scale`."""
    best, best_scale = _pulled_in(integers, real), scale.copy()
    error = _squared(best - real)
    free = np.flatnonzero(np.abs(integers - real).max(axis=1) <= 0.5 + 1e-3) if may_widen else np.zeros(0, np.int64)
    if not len(free):
        return best, best_scale
    real, scale, least = real[free], scale[free], error[free]
    sums = np.abs(np.add(*_pairs(real)))
    most = np.clip(sums.max(axis=1) / (LARGEST_PAIR - 1), 1, 2)
    close = np.divmod(np.flatnonzero(sums > LARGEST_PAIR - 1), sums.shape[1])  # on no wider scale are others too large
    taken = scale.copy()
    for share in WIDENINGS:
        wider = (scale * (1 + share * (most - 1))).astype(np.float32)
        ratio = wider / scale
        found = _error_of_rounding(real / ratio[:, None], close) * ratio**2
        better = found < least
        taken[better], least[better] = wider[better], found[better]
    wide = np.flatnonzero(taken != scale)
    narrow = real[wide] / (taken[wide] / scale[wide])[:, None]
    best[free[wide]] = _pulled_in(np.clip(np.rint(narrow), -127, 127).astype(np.int8), narrow)
    best_scale[free[wide]] = taken[wide]
    return best, best_scale


def _error_of_rounding(real: Array, close: tuple[Array, Array]) -> Array:
    """Squared error of every row once it is rounded and no pair is too large; only those at (row, pair) of `close` may be."""
    rounded = np.rint(real)
    np.clip(rounded, -127, 127, out=rounded)
    first, second, left, right = (part[close] for part in (*_pairs(rounded), *_pairs(real)))
    moved, other = _nearest_that_fits(first, second, left, right)
    change = (moved - left) ** 2 - (first - left) ** 2 + (other - right) ** 2 - (second - right) ** 2
    rounded -= real
    return np.asarray(_squared(rounded) + np.bincount(close[0], change, len(real)).astype(real.dtype))


def _pulled_in(integers: Array, real: Array) -> Array:
    """Each pair that is too large at the nearest point that is not: both members move towards zero, or one of them."""
    rows, pairs = np.divmod(np.flatnonzero(too_large := _too_large(integers)), too_large.shape[1])
    left, right = (rows, pairs * 2), (rows, pairs * 2 + 1)
    result = integers.copy()
    first, second = (integers[place].astype(np.int16) for place in (left, right))
    result[left], result[right] = _nearest_that_fits(first, second, real[left], real[right])
    return result


def _nearest_that_fits(first: Array, second: Array, left: Array, right: Array) -> tuple[Array, Array]:
    """Both members of pairs that stand for `left` and `right`; those that fit stay as they are."""
    sign = np.sign(first)
    wanted = np.rint((sign * (left - right) + LARGEST_PAIR) / 2)
    share = np.clip(wanted, LARGEST_PAIR - np.abs(second), np.abs(first))
    fits = np.abs(first + second) <= LARGEST_PAIR
    return np.where(fits, first, sign * share), np.where(fits, second, sign * (LARGEST_PAIR - share))


def _too_large(rows: Array) -> Array:
    """Which pairs overflow. Opposite signs cannot: their sum is at most 128 away from zero."""
    first, second = _pairs(rows)
    return np.asarray(np.abs(np.add(first, second, dtype=np.int16)) > LARGEST_PAIR)


def _pairs(rows: Array) -> tuple[Array, Array]:
    """The members of every pair along the last axis; a last one without a partner has zero beside it, as in the kernels."""
    if rows.shape[1] % 2:
        rows = np.pad(rows, ((0, 0), (0, 1)))
    return rows[:, 0::2], rows[:, 1::2]


def _rows(node: ir.Node, array: Array) -> Array:
    ordered = _ordered(node, array)
    return ordered.reshape(len(ordered), -1)


def _ordered(node: ir.Node, array: Array) -> Array:
    """A view with output channels first and the rest in the order in which the kernels sum it."""
    moved = np.moveaxis(array, channel_axis(node), 0)
    return np.moveaxis(moved, 1, -1) if moved.ndim > 2 else moved


def _squared(error: Array) -> Array:
    return np.asarray(np.einsum("ij,ij->i", error, error))
