"""Range and energy of every channel that layers read, over calibration examples."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.calibration.watcher import Watcher


@dataclass(frozen=True)
class ChannelRange:
    """Per channel of a tensor: smallest and largest value of an example, averaged over examples, and the variance over all of them."""

    low: Array
    high: Array
    variance: Array


def channel_ranges(model: ir.Model, axes: Mapping[str, int], watcher: Watcher) -> dict[str, ChannelRange]:
    """What was seen of the channels along `axes` (from the end) of the named tensors. Memory does not grow with the examples.

    An average of extremes is not moved by one outlier, which a quantized range would cut off as well.
    """
    totals: dict[str, Array] = {}
    counts: dict[str, int] = {}
    for done, values in enumerate(watch := watcher.watch(model, axes)):
        for name, value in values.items():
            kept = value.ndim + axes[name]
            others = tuple(a for a in range(value.ndim) if a != kept)
            if value.size:
                mean, square = value.mean(axis=others, dtype=np.float64), np.square(value).mean(axis=others, dtype=np.float64)
                totals[name] = totals.get(name, 0) + np.stack([value.min(axis=others), value.max(axis=others), mean, square])
                counts[name] = counts.get(name, 0) + 1
        watcher.progress("equalizing channels", done + 1, len(watch))
    averages = {name: total / counts[name] for name, total in totals.items()}
    return {n: ChannelRange(np.minimum(a[0], 0), np.maximum(a[1], 0), np.maximum(a[3] - a[2] ** 2, 0)) for n, a in averages.items()}
