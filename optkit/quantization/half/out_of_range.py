"""Which values of a float32 model float16 could not hold, seen on examples: too large for it, or so small that all would blur."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx_ir as ir

from optkit.arrays import Array
from optkit.errors import OptkitError
from optkit.formats.onnx import LARGEST_DRAFT, save_model
from optkit.progress import Progress, silent
from optkit.quantization.half.operators import LARGEST, SMALLEST_NORMAL
from optkit.quantization.half.plan import is_float
from optkit.runtimes import open_session

RESERVE = 2.0
"""Examples do not show the largest value there will ever be: what comes within this factor of the limit counts as over it."""


def out_of_range(model: ir.Model, feeds: Sequence[Mapping[str, Array]], threads: int = 1, progress: Progress = silent) -> frozenset[str]:
    """Names of the main graph's float32 values that come near or over float16's largest number, infinity included, or that never come up
    to its smallest of full precision.

    The model runs once per feed with one number more per value as output, so memory does not grow with the values.
    """
    watched = model.clone()
    peaks = _add_peaks(watched)
    if not peaks:
        return frozenset()
    found: set[str] = set()
    largest = dict.fromkeys(peaks.values(), 0.0)
    with TemporaryDirectory(prefix="optkit-") as folder:
        save_model(watched, Path(folder) / "model.onnx", largest=LARGEST_DRAFT)
        session = open_session(Path(folder) / "model.onnx", "cpu", threads)
        for number, feed in enumerate(feeds):
            progress("looking for values that float16 cannot hold", number, len(feeds))
            try:
                seen = session.run(feed, list(peaks))
            except OptkitError:  # such as the largest of no numbers, where a value may be empty
                break
            found.update(peaks[name] for name, peak in seen.items() if not float(peak) * RESERVE <= LARGEST)
            largest |= {peaks[name]: max(largest[peaks[name]], float(peak)) for name, peak in seen.items()}
    return frozenset(found | {name for name, peak in largest.items() if 0 < peak < SMALLEST_NORMAL})


def _add_peaks(model: ir.Model) -> dict[str, str]:
    """Give the model the largest magnitude of every float32 value as outputs; whose each is, by name."""
    peaks: dict[str, str] = {}
    values = [*model.graph.inputs, *(v for node in model.graph for v in node.outputs)]
    for number, value in enumerate(v for v in values if is_float(v) and v.name):
        sizes = ir.node("Abs", [value], name=f"optkit/size/{number}")
        peak = ir.node("ReduceMax", [sizes.outputs[0]], {"keepdims": 0}, name=f"optkit/peak/{number}")
        for node in (sizes, peak):
            node.outputs[0].name, node.outputs[0].dtype = node.name, ir.DataType.FLOAT
            model.graph.append(node)
        peak.outputs[0].shape = ir.Shape([])
        model.graph.outputs.append(peak.outputs[0])
        peaks[str(peak.name)] = str(value.name)
    return peaks
