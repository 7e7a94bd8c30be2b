"""Activation statistics: run the float model once over the examples, fold every wanted tensor into a histogram, keep nothing else."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.histogram import Histogram


@dataclass
class Observed:
    """What was seen of each tensor, by name."""

    histograms: dict[str, Histogram] = field(default_factory=dict)
    peaks: dict[str, Array] = field(default_factory=dict)
    """Largest magnitude per channel (last axis), where asked for."""
    examples: int = 0


def observe(model: ir.Model, tensors: Sequence[str], watcher: Watcher, *, channels_of: Iterable[str] = ()) -> Observed:
    """Histograms of `tensors` (of the main graph) over all examples, one at a time; memory does not grow with their number.

    Raises what `Watcher.watch` raises.
    """
    by_channel = set(channels_of)
    seen = Observed({name: Histogram() for name in tensors}, examples=len(watcher.examples))
    sources = _followed(model, set(tensors) - by_channel)
    watch = watcher.watch(model, [n for n in (*tensors, *by_channel) if n not in sources])
    for done, values in enumerate(watch):
        for name, value in values.items():
            if name in seen.histograms:
                seen.histograms[name].add(value)
            if name in by_channel and value.ndim and value.size:
                peak = np.abs(value.reshape(-1, value.shape[-1])).max(axis=0)
                seen.peaks[name] = np.maximum(seen.peaks.get(name, np.zeros_like(peak)), peak)
        watcher.progress("calibrating", done + 1, len(watch))
    seen.histograms |= {name: seen.histograms[source].through(_sigmoid) for name, source in sources.items()}
    return seen


def _followed(model: ir.Model, tensors: Collection[str]) -> dict[str, str]:
    """Tensors whose values follow from another that is watched: counting them again would cost as much as counting that."""
    nodes = [n for n in model.graph if n.op_type == "Sigmoid" and n.domain == ""]
    pairs = {str(n.outputs[0].name): str(n.inputs[0].name) for n in nodes if n.inputs[0] is not None}
    return {after: before for after, before in pairs.items() if after in tensors and before in tensors and before not in pairs}


def _sigmoid(values: Array) -> Array:
    after: Array = 1 / (1 + np.exp(-values.clip(-700, 700)))
    return after
