"""Biases of a finished variant that make up for all errors made before them, and what is kept of what was learned."""

from dataclasses import replace

from optkit.formats.onnx import load_model, save_model
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.choosing.held_out import Lesson
from optkit.quantization.rounding.biased_layers import biased_layers
from optkit.quantization.rounding.settle_biases import settle_biases
from optkit.quantization.variants.trial import LARGE, Bench, Trial
from optkit.quantization.variants.wishes import Wishes
from optkit.runtimes import open_session

MOST_SEEN, FEWEST_SEEN = 1_000, 16
"""Examples times layers, each of which is run with all before it to settle its biases; and examples."""


def settled(bench: Bench, start: Trial, watcher: Watcher) -> Trial | None:
    """The variant with biases decided anew from these examples; None where none changed."""
    if bench.size > LARGE:
        return None
    model = load_model(start.path)
    if not settle_biases(model, bench.model, watcher):
        return None
    path = start.path.with_name(f"{start.path.stem}-settled.onnx")
    save_model(model, path)
    return bench.hold(start.treatment, path)


def settled_by(bench: Bench, start: Trial, lesson: Lesson) -> Trial | None:
    """From as many examples as effort high may take for them."""
    layers = len(biased_layers(load_model(start.path))) if bench.size <= LARGE else 1
    return settled(bench, start, lesson.watcher.spread(max(FEWEST_SEEN, MOST_SEEN // max(layers, 1))))


def kept(bench: Bench, best: Trial, found: Trial | None, lesson: Lesson, wishes: Wishes) -> Trial | None:
    """What was found, if it comes closer and keeps what was asked for. Unless it is timed anew it counts as fast as before."""
    bench.failures.clear()
    if found is None or (best.good and not found.good and not wishes.scored):
        return None
    held = lesson.held_out
    if not (held.closer([best.path], [found.path]) if held.enough else found.fidelity.sqnr > best.fidelity.sqnr):
        return None
    if wishes.scored:
        good, drop = wishes.judge(open_session(found.path, bench.device, bench.workers), found.fidelity)
        if not good or (best.drop is not None and drop is not None and drop > best.drop):
            return None
        found = replace(found, good=good, drop=drop)
    return replace(found, ratio=best.ratio)
