"""Effort high starts from channels of alike range where every variant together gains by it."""

from collections.abc import Sequence

from optkit.quantization.calibration.feeds import Feeds
from optkit.quantization.channels.equalize import equalize_on
from optkit.quantization.float_graph.checked import same_answers
from optkit.quantization.float_graph.prepare import Prepared
from optkit.quantization.variants.calibrate import calibrate
from optkit.quantization.variants.treatment import Treatment
from optkit.quantization.variants.trial import Bench
from optkit.quantization.variants.wishes import Setting, Wishes


def try_alike_channels(
    bench: Bench, treatments: Sequence[Treatment], prepared: Prepared, calibration: Feeds, wishes: Wishes, setting: Setting
) -> None:
    """Go on from the graph with channels of alike range if its answers are the same and its variants are more faithful."""
    made, changed = equalize_on(prepared.model, calibration, threads=setting.threads, progress=setting.progress, limit=setting.max_memory)
    if not changed or not same_answers(prepared.model, made, bench.feeds[:2], setting.threads):
        return
    plain, before = (bench.model, bench.learned), _summed_fidelity(bench, treatments)
    bench.model, bench.learned = made, calibrate(made, treatments, calibration, wishes.ranges, setting)
    if _summed_fidelity(bench, treatments) <= before:
        bench.model, bench.learned = plain


def _summed_fidelity(bench: Bench, treatments: Sequence[Treatment]) -> float:
    trials = [bench.attempt(t) for t in treatments if t.ways]
    bench.failures.clear()
    return sum(max(t.fidelity.sqnr, 0.0) for t in trials if t is not None)
