"""Effort high starts from channels of alike range where every variant together gains by it."""

from collections.abc import Sequence
from pathlib import Path

from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.channels.equalize import equalize_on
from optkit.quantization.choosing.held_out import Lesson
from optkit.quantization.float_graph.checked import same_answers
from optkit.quantization.float_graph.prepare import Prepared
from optkit.quantization.variants.calibrate import calibrate
from optkit.quantization.variants.treatment import Treatment
from optkit.quantization.variants.trial import Bench
from optkit.quantization.variants.wishes import Wishes


def try_alike_channels(
    bench: Bench, treatments: Sequence[Treatment], prepared: Prepared, watcher: Watcher, lesson: Lesson, wishes: Wishes
) -> None:
    """Go on from the graph with channels of alike range if its answers are the same and its variants are more faithful."""
    made, changed = equalize_on(prepared.model, lesson.watcher)
    if not changed or not same_answers(prepared.model, made, bench.feeds[:2], bench.workers):
        return
    plain, before = (bench.model, bench.learned), _files(bench, treatments)
    bench.model, bench.learned = made, calibrate(made, treatments, watcher, wishes.ranges)
    after = _files(bench, treatments)
    both = [name for name in before if name in after]
    if not lesson.held_out.closer([before[name] for name in both], [after[name] for name in both]):
        bench.model, bench.learned = plain


def _files(bench: Bench, treatments: Sequence[Treatment]) -> dict[str, Path]:
    """Of each variant that computes in integers."""
    trials = [bench.attempt(t) for t in treatments if t.ways]
    bench.failures.clear()
    return {t.name: t.path for t in trials if t is not None}
