"""The graph with channels of alike range, as a bench of its own: what its seams take in time its integers must win in fidelity."""

from copy import copy
from dataclasses import replace

from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.channels.equalize import equalize_on
from optkit.quantization.channels.seams import add_seams, drop_idle_seams
from optkit.quantization.choosing.polish import with_learned_rounding
from optkit.quantization.float_graph.checked import same_answers
from optkit.quantization.variants.calibrate import calibrate
from optkit.quantization.variants.treatment import Treatment, Way
from optkit.quantization.variants.trial import LARGE, Bench

NAME = "scaled channels"
EXAMPLES_FOR_ROUNDING = 24
"""A few thousand positions say as much of how inputs go together as many more."""


def scaled_bench(bench: Bench, treatment: Treatment, watcher: Watcher | None, ranges: str) -> Bench | None:
    """A bench of the rewritten graph, calibrated for `treatment`, with rounding learned; None where nothing is to be gained by it.

    Channels of activations become alike at the cost of the weights that read them, so here the weights need it.
    """
    if watcher is None or bench.size > LARGE or Way.STATIC not in treatment.ways.values():
        return None
    made, changed = equalize_on(add_seams(bench.model), watcher)
    drop_idle_seams(made)
    if not changed or not same_answers(bench.model, made, bench.feeds[:2], bench.workers):
        return None
    found = copy(bench)
    found.folder = bench.folder / "scaled"
    found.folder.mkdir(exist_ok=True)
    found.model, found.learned = made, calibrate(made, [treatment], watcher, ranges)
    found.learned = with_learned_rounding(found, treatment, watcher.spread(EXAMPLES_FOR_ROUNDING))
    return found


def scaled(treatment: Treatment) -> Treatment:
    return replace(treatment, name=f"{treatment.name}, {NAME}")
