"""Variants built and raced, and more made of the fastest where that pays."""

from collections.abc import Sequence
from dataclasses import replace

from optkit.progress import Progress
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.choosing.decide import AMPLE, FASTER, TIE, time_ratio
from optkit.quantization.choosing.refine import refine
from optkit.quantization.choosing.scaled import scaled, scaled_bench
from optkit.quantization.choosing.small_products import with_single_scales
from optkit.quantization.choosing.without_slow import WORTH_TRYING, without_slow
from optkit.quantization.fidelity.room import room
from optkit.quantization.operators import weight_of, weighted_nodes
from optkit.quantization.variants.node_times import gains, node_times, profile_nodes
from optkit.quantization.variants.treatment import Treatment, Way
from optkit.quantization.variants.trial import LARGE, Bench, Trial
from optkit.quantization.variants.wishes import Wishes

SMALL_MODEL = 8 << 20
"""Bytes of a model up to which products may be small enough for one scale to matter."""


DOUBT = 0.1
"""Share of a node's time in integers that profiles leave open."""


def compete(bench: Bench, treatments: Sequence[Treatment], wishes: Wishes, progress: Progress, watcher: Watcher | None) -> list[Trial]:
    built = list[Trial]()
    for done, treatment in enumerate(treatments):
        progress("building variants", done, len(treatments))
        if not _smoothed_for_nothing(bench, treatment, built, wishes) and (trial := bench.attempt(treatment)) is not None:
            built.append(trial)
    trials = bench.time(built, wishes.seconds)
    computing = [t for t in trials if t.treatment.ways and t.ratio is not None]
    fastest = min(computing, key=time_ratio, default=None)
    if fastest is None:
        return [*trials, *_mended(bench, trials, wishes, progress)]
    regions = [t for t in computing if Way.STATIC in t.treatment.ways.values()][:1] if bench.size <= LARGE else []  # the first has most
    if wishes.scored:
        return [*trials, *_quicker(bench, fastest, wishes, regions)[0]]
    bench.drop_files(trials, [fastest, *(t for t in trials if t.good and not _beaten(t, trials))])
    more = _improve(bench, fastest, regions, [t for t in computing if t.good], wishes, progress, watcher)
    trials = _timed_again(bench, trials, more, wishes) if more else trials
    return [*trials, *_mended(bench, trials, wishes, progress)]


def _smoothed_for_nothing(bench: Bench, treatment: Treatment, built: Sequence[Trial], wishes: Wishes) -> bool:
    """Whether the same without divisions has ample room already, which takes no longer; to find divisions takes long. Or there are none."""
    if not treatment.smooth or wishes.effort == "high":
        return False
    plain = next((t for t in built if replace(t.treatment, smooth=True, name=treatment.name) == treatment), None)
    if plain is not None and plain.good and not wishes.scored and room(plain.fidelity, wishes.floor) >= AMPLE:
        return True
    return plain is not None and not bench.learned.smoothing


def _mended(bench: Bench, trials: Sequence[Trial], wishes: Wishes, progress: Progress) -> list[Trial]:
    """Where nothing is both good and faster: 8-bit storage without the layers to blame, those first that give most for their bytes.

    What computes in integers for no speed is larger than that, and takes longer to open.
    """
    stored = next((t for t in trials if not t.treatment.ways), None)
    pays = any(t.good and time_ratio(t) < FASTER for t in trials)
    if stored is None or stored.good or wishes.scored or pays or bench.size > LARGE:
        return []
    sizes = {str(n.name): float(weight_of(n).size) for n in weighted_nodes(bench.model)}  # type: ignore[union-attr]
    return bench.time([t for t in refine(bench, stored, wishes.floor, sizes, progress) if t.good], wishes.seconds)


def _timed_again(bench: Bench, trials: Sequence[Trial], more: Sequence[Trial], wishes: Wishes) -> list[Trial]:
    """Beside what came later, those of the first that may still win; of the others the time is known."""
    open_still = {t.path for t in trials if t.good and not _beaten(t, trials)}
    timed = {t.path: t for t in bench.time([*(t for t in trials if t.path in open_still), *more], wishes.seconds)}
    return [timed.get(t.path, t) for t in (*trials, *more)]


def _improve(
    bench: Bench,
    fastest: Trial,
    regions: Sequence[Trial],
    faithful: Sequence[Trial],
    wishes: Wishes,
    progress: Progress,
    watcher: Watcher | None,
) -> list[Trial]:
    """More variants of the fastest: without the layers that integers slow down, and, where it loses too much, without those to blame."""
    more, saved = _quicker(bench, fastest, wishes, regions)
    more += _single_scaled(bench, fastest, faithful, wishes)
    basis = _most_faithful_of_the_fastest([fastest, *more], wishes)
    if basis.good or time_ratio(basis) >= FASTER or _near(basis, faithful):
        return more
    bench.scaled = other = scaled_bench(bench, basis.treatment, watcher, wishes.ranges)
    start = other.attempt(scaled(basis.treatment)) if other is not None else None
    if other is not None and start is not None and room(start.fidelity, wishes.floor) > room(basis.fidelity, wishes.floor):
        return more + refine(other, start, wishes.floor, saved, progress)
    return more + refine(bench, basis, wishes.floor, saved, progress)


def _most_faithful_of_the_fastest(trials: Sequence[Trial], wishes: Wishes) -> Trial:
    """Of those about as fast as the fastest: what one of them gave back for nothing need not be given back dearly."""
    lead = min(map(time_ratio, trials))
    return max((t for t in trials if time_ratio(t) <= lead * (1 + TIE)), key=lambda t: room(t.fidelity, wishes.floor))


def _quicker(bench: Bench, fastest: Trial, wishes: Wishes, others: Sequence[Trial] = ()) -> tuple[list[Trial], dict[str, float]]:
    """The same without what integers slow down, where that is worth a variant, and the seconds that each layer saves; and likewise of
    the others that may become as fast. Of one that loses too much, whatever takes about no time to give back is.
    """
    before = profile_nodes(bench.as_float(), bench.profiled, bench.threads, bench.device)
    saved, made = dict[str, float](), list[Trial]()
    for start in [fastest, *(t for t in others if t is not fastest)]:
        after = profile_nodes(start.path, bench.profiled, bench.threads, bench.device)
        if start is fastest:
            saved = gains(bench.layers(start.treatment.ways), before, after)
        asked = (WORTH_TRYING, 0.0) if start.good else (-TIE, DOUBT)
        quicker, seconds = without_slow(bench.model, start.treatment, before, after, worth=asked[0], doubt=asked[1])
        hopeless = start is not fastest and seconds > before.whole * time_ratio(fastest) * (1 + TIE)
        trial = bench.attempt(quicker) if quicker is not None and not hopeless else None
        made += [trial] if trial is not None else []
    return bench.time(made, wishes.seconds / 3), saved


def _single_scaled(bench: Bench, fastest: Trial, faithful: Sequence[Trial], wishes: Wishes) -> list[Trial]:
    """The best dynamic variant, where it may still win, with one scale for the weights of its small products, where it has such."""
    dynamic = [t for t in faithful if Way.DYNAMIC in t.treatment.ways.values() and t.path.exists()]
    best = min(dynamic, key=time_ratio, default=None)
    if best is None or bench.size > SMALL_MODEL or time_ratio(best) > time_ratio(fastest) * (1 + 2 * TIE):
        return []
    times = node_times(best.path, bench.profiled, bench.threads, bench.device)
    treatment = with_single_scales(best.treatment, times, bench.outputs)
    trial = bench.attempt(treatment) if treatment is not None else None
    return bench.time([trial], wishes.seconds / 3) if trial is not None else []


def _beaten(trial: Trial, others: Sequence[Trial]) -> bool:
    """Whether another good one is faster, smaller and more faithful."""
    return any(
        o.good and time_ratio(o) < time_ratio(trial) and o.size < trial.size and o.fidelity.sqnr > trial.fidelity.sqnr for o in others
    )


def _near(fastest: Trial, others: Sequence[Trial]) -> bool:
    return any(time_ratio(o) <= time_ratio(fastest) * (1 + TIE) for o in others)
