"""Activation statistics: run the float model once over the examples, fold every wanted tensor into a histogram, keep nothing else."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from optkit.quantization.histogram import Histogram
from optkit.quantization.watch import Feeds, Watch

Array = np.ndarray[Any, np.dtype[Any]]
Progress = Callable[[str, int, int], None]


@dataclass
class Observed:
    """What was seen of each tensor, by name."""

    histograms: dict[str, Histogram] = field(default_factory=dict)
    peaks: dict[str, Array] = field(default_factory=dict)
    """Largest magnitude per channel (last axis), where asked for."""
    examples: int = 0


def observe(
    model: ir.Model,
    tensors: Sequence[str],
    examples: Feeds,
    *,
    channels_of: Iterable[str] = (),
    threads: int = 1,
    limit: int | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Observed:
    """Histograms of `tensors` (of the main graph) over all examples, one at a time; memory does not grow with their number.

    `limit` is the most bytes that this process may occupy meanwhile (see Watch, also for what it raises).
    """
    by_channel = set(channels_of)
    seen = Observed({name: Histogram() for name in tensors}, examples=len(examples))
    watch = Watch(model, [*tensors, *by_channel], examples, threads, limit)
    for done, values in enumerate(watch):
        for name, value in values.items():
            if name in seen.histograms:
                seen.histograms[name].add(value)
            if name in by_channel and value.ndim and value.size:
                peak = np.abs(value.reshape(-1, value.shape[-1])).max(axis=0)
                seen.peaks[name] = np.maximum(seen.peaks.get(name, np.zeros_like(peak)), peak)
        progress("calibrating", done + 1, len(watch))
    return seen
