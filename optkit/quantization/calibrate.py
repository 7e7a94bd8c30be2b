"""What the examples teach: ranges of activations, channel means, outlier channels."""

from collections.abc import Sequence

import onnx_ir as ir

from optkit.errors import DataError
from optkit.quantization.affine import Grid, grid_for
from optkit.quantization.insert_static import tensors_to_observe
from optkit.quantization.means import channel_means
from optkit.quantization.observe import Feeds, observe
from optkit.quantization.smooth import find_smoothing
from optkit.quantization.treatment import Learned, Treatment, Way, weighted_nodes
from optkit.quantization.wishes import Setting
from optkit.registry import load

EXAMPLES_FOR_MEANS = 32


def calibrate(model: ir.Model, treatments: Sequence[Treatment], examples: Feeds | None, ranges: str, setting: Setting) -> Learned:
    """The uint8 grid of every tensor that a static treatment quantizes, and the channel means of every layer's input.

    Raises DataError when the model computes values that are not finite on these examples.
    """
    if examples is None:
        return Learned()
    static = {n for t in treatments for n, way in t.ways.items() if way in (Way.STATIC, Way.STATIC_FLOAT_OUT)}
    grids: dict[str, Grid] = {}
    if static:
        wanted = tensors_to_observe([n for n in model.graph if n.name in static])
        seen = observe(model, list(wanted), examples, threads=setting.threads, progress=setting.progress)
        broken = [name for name, h in seen.histograms.items() if not h.finite]
        if broken:
            raise DataError(
                f"on these examples the model computes values that are not finite ({broken[0]})", hint="check the calibration data"
            )
        method = load("quantization.ranges", ranges)()
        grids = {name: grid_for(*method.range_of(h)) for name, h in seen.histograms.items()}
    few = examples.spread(EXAMPLES_FOR_MEANS)
    means = channel_means(model, weighted_nodes(model), grids, few, threads=setting.threads, progress=setting.progress)
    smooth = any(t.smooth for t in treatments)
    return Learned(grids, means, find_smoothing(model, few, threads=setting.threads, progress=setting.progress) if smooth else {})
