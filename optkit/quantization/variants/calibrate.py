"""What the examples teach: ranges of activations, channel means, outlier channels."""

from collections.abc import Collection, Sequence

import onnx_ir as ir

from optkit.errors import DataError
from optkit.quantization.affine import grid_for
from optkit.quantization.calibration.contract import calibration_remarks, range_remarks
from optkit.quantization.calibration.fed import fed_by_inputs
from optkit.quantization.calibration.gates import gates, range_before
from optkit.quantization.calibration.means import channel_means
from optkit.quantization.calibration.observe import Observed, observe
from optkit.quantization.calibration.score_ranges import with_room_for_scores
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.channels.smooth import find_smoothing
from optkit.quantization.graphs import all_graphs
from optkit.quantization.integer_graph.insert_static import tensors_to_observe
from optkit.quantization.operators import weighted_nodes
from optkit.quantization.variants.learned import LaterFound, Learned
from optkit.quantization.variants.treatment import Treatment, Way
from optkit.registry import load

EXAMPLES_FOR_MEANS = 32


def calibrate(model: ir.Model, treatments: Sequence[Treatment], watcher: Watcher | None, ranges: str) -> Learned:
    """The uint8 grid of every tensor that a static treatment quantizes, and the channel means of every layer's input.

    Raises DataError when the model computes values that are not finite on these examples.
    """
    if watcher is None:
        return Learned()
    static = {n for t in treatments for n, way in t.ways.items() if way in (Way.STATIC, Way.STATIC_FLOAT_OUT)}
    seen = _observed(model, static, watcher) if static else Observed()
    method = load("quantization.ranges", ranges)()
    found = {name: method.range_of(h) for name, h in seen.histograms.items() if h.total}
    if ranges == "auto":
        found |= {name: range_before(seen.histograms[name], gate, found[name]) for name, gate in gates(model).items() if name in found}
        found = with_room_for_scores(model, found, seen.histograms)
    grids = {name: grid_for(*each) for name, each in found.items()}
    few = watcher.spread(EXAMPLES_FOR_MEANS)
    means = channel_means(model, weighted_nodes(model), grids, few)
    smoothing = LaterFound(lambda: find_smoothing(model, few)) if any(t.smooth for t in treatments) else {}
    fed = fed_by_inputs(model)
    told = calibration_remarks({name: each for name, each in seen.histograms.items() if name in fed})
    return Learned(grids, means, smoothing, tuple(told), tuple(range_remarks(len(watcher.examples))))


def find_outliers(model: ir.Model, treatments: Sequence[Treatment], watcher: Watcher) -> Learned:
    """Outlier channels alone, which made-up ids show as well as real ones do: they come of the weights more than of the inputs."""
    if not any(t.smooth for t in treatments):
        return Learned()
    few = watcher.spread(EXAMPLES_FOR_MEANS)
    return Learned(smoothing=LaterFound(lambda: find_smoothing(model, few)))


def _observed(model: ir.Model, static: Collection[str], watcher: Watcher) -> Observed:
    wanted = tensors_to_observe([n for g in all_graphs(model) for n in g if n.name in static])
    seen = observe(model, list(wanted), watcher)
    broken = [name for name, h in seen.histograms.items() if not h.finite]
    if broken:
        what = f"on these examples the model computes values that are not finite ({broken[0]})"
        raise DataError(what, hint="check the calibration data")
    return seen


def within_reach(model: ir.Model, treatment: Treatment, learned: Learned) -> Treatment:
    """The same without the static layers of which the examples showed nothing: in branches not taken, or on empty tensors."""
    static = [n for g in all_graphs(model) for n in g if treatment.ways.get(str(n.name)) in (Way.STATIC, Way.STATIC_FLOAT_OUT)]
    floats = {str(n.name) for n in static if treatment.ways[str(n.name)] is Way.STATIC_FLOAT_OUT}
    return treatment.without(str(n.name) for n in static if not set(tensors_to_observe([n], floats)) <= set(learned.grids))


def all_within_reach(model: ir.Model, treatments: Sequence[Treatment], learned: Learned) -> list[Treatment]:
    """Every treatment as far as the examples reach, without those that come to the same."""
    found: list[Treatment] = []
    for treatment in (within_reach(model, t, learned) for t in treatments):
        if all((treatment.ways, treatment.smooth, treatment.compress) != (f.ways, f.smooth, f.compress) for f in found):
            found.append(treatment)
    return found
