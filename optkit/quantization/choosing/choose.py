"""Pick the variant that pays: fastest among those faithful enough, measured; storage alone where computing in integers does not pay."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx_ir as ir

from optkit.errors import DataError, NothingPaid
from optkit.progress import Progress
from optkit.quantization.calibration.watch import Feeds
from optkit.quantization.channels.equalize import equalize_on
from optkit.quantization.choosing.decide import FASTER, TIE, decide, time_ratio
from optkit.quantization.choosing.limit_drop import best_effort, search_within
from optkit.quantization.choosing.polish import polish
from optkit.quantization.choosing.refine import refine, without_slow
from optkit.quantization.choosing.scaled import scaled, scaled_bench
from optkit.quantization.choosing.small_products import with_single_scales
from optkit.quantization.fidelity.room import room
from optkit.quantization.float_graph.prepare import Prepared, prepare_checked, same_answers
from optkit.quantization.graphs import all_graphs
from optkit.quantization.integer_graph.compress import compressible
from optkit.quantization.integer_graph.insert_recurrent import RECURRENT
from optkit.quantization.integer_graph.unfused import told
from optkit.quantization.operators import weight_of
from optkit.quantization.recognise import already_quantized, graph_constants, half_precision, too_small_or_wide
from optkit.quantization.variants.calibrate import all_within_reach, calibrate, find_outliers
from optkit.quantization.variants.candidates import STORED, candidates
from optkit.quantization.variants.load_memory import loading_remark
from optkit.quantization.variants.node_times import gains, node_times
from optkit.quantization.variants.treatment import Treatment, Way, consistent_ways, weighted_nodes
from optkit.quantization.variants.trial import LARGE, Bench, Trial
from optkit.quantization.variants.wishes import Setting, Wishes
from optkit.runtimes import full_feeds, open_session

SMALL_MODEL = 8 << 20
"""Bytes of a model up to which products may be small enough for one scale to matter."""


@dataclass(frozen=True)
class Choice:
    """The winner, everything it was held against, and sentences for the user."""

    best: Trial
    trials: tuple[Trial, ...]
    remarks: tuple[str, ...]
    failures: dict[str, str]
    calibrated_on: int
    operators: dict[str, dict[str, int]]
    """Operator → how many compute in which way."""


@np.errstate(over="ignore", invalid="ignore")
def choose(
    original: Path,
    model: ir.Model,
    calibration: Feeds | None,
    judging: Feeds,
    wishes: Wishes,
    setting: Setting,
    target: Path,
    *,
    made_up: Feeds | None = None,
) -> Choice:
    """Write the best variant of `model` (read from `original`) to `target`.

    `calibration` gives examples for static ranges; None leaves static variants out; outlier channels may then be looked for on
    `made_up` ones. Fidelity and time are judged on `judging`. Raises NothingPaid, with the reason, when no variant pays.
    """
    refuse_hopeless(model)
    feeds = list(full_feeds(open_session(original, setting.device, setting.threads), judging))
    prepared = prepare_checked(original, model, feeds, setting.device, setting.threads)
    treatments = candidates(
        prepared.model, wishes.method, calibration is not None, wishes.exclude, wishes.portable, outliers_known=made_up is not None
    )
    if not treatments:
        raise _nothing_for(wishes.method, prepared.model, calibration is not None)
    if made_up is not None:
        learned = find_outliers(prepared.model, treatments, made_up, setting)
    else:
        learned = calibrate(prepared.model, treatments, calibration, wishes.ranges, setting)
    treatments = all_within_reach(prepared.model, treatments, learned)
    if wishes.effort == "high" and calibration is None:
        raise DataError("effort high learns from real examples", hint="pass --data examples.npz: one array for each model input")
    with tempfile.TemporaryDirectory(prefix=".variants-", dir=target.parent) as folder:
        place = (setting.device, setting.threads, setting.seed)
        judge = wishes.judge_fidelity if wishes.scored else wishes.judge
        bench = Bench(original, prepared.model, learned, feeds, Path(folder), *place, judge, wishes.hopeless)
        if wishes.effort == "high" and calibration is not None:
            _try_alike_channels(bench, treatments, prepared, calibration, wishes, setting)
        trials = _compete(bench, treatments, wishes, setting, calibration)
        best, trials = _decided(bench, trials, wishes, setting, target)
        if best.ratio is not None and best.ratio.high > 1 + TIE:  # not shown to be no slower: measure the winner alone, for longer
            sure = bench.time([best], 2 * wishes.seconds)[0]
            trials = [sure if t is best else t for t in trials]
            best = decide(trials, bench, wishes)
        bench = bench.of(best)
        if wishes.effort == "high" and calibration is not None:
            better = polish(bench, best, calibration, wishes, setting)
            best, trials = better, [better if t is best else t for t in trials]
        _hand_over(best, target, bench)
        used = len(calibration) if calibration is not None else 0
        ways = count_ways(bench.model, best.treatment)
        seen = _of_result(bench, best, target, wishes, calibrated=calibration is not None)
        remarks = (*prepared.remarks, *learned.remarks, *seen, *of_simplifying(best, trials))
        return Choice(best, tuple(trials), remarks, bench.failures, used, ways)


def _of_result(bench: Bench, best: Trial, target: Path, wishes: Wishes, *, calibrated: bool) -> list[str]:
    """Sentences about the winner."""
    found = []
    if not best.treatment.ways and (said := loading_remark(bench.original, target, bench.size, bench.device, bench.threads)):
        found.append(said)
    if said := told(bench.model, best.treatment.given_back):
        found.append(said)
    if wishes.scored and calibrated:
        found.append(
            "the score was taken on the examples that it was calibrated and chosen on, which flatters it: "
            "hold the result against others with optkit compare"
        )
    return found


def of_simplifying(best: Trial, trials: Sequence[Trial]) -> list[str]:
    """A sentence where the graph's simplification, not its integers, gives most of the speed: what only stores integers shows it."""
    plain = next((t for t in trials if t.treatment == STORED), None)
    if plain is None or time_ratio(plain) >= FASTER or 1 - time_ratio(plain) < (1 - time_ratio(best)) / 2:
        return []
    share = "all" if not best.treatment.ways else "most"
    return [f"{share} of the speed comes from simplifying the graph: computing in float32 it takes {time_ratio(plain):.2f} of the time"]


def _decided(bench: Bench, trials: list[Trial], wishes: Wishes, setting: Setting, target: Path) -> tuple[Trial, list[Trial]]:
    """The variant to hand over, and all that were tried. Raises NothingPaid, which names the best so far where the score decides."""
    if not wishes.scored:
        return decide(trials, bench, wishes), trials

    def evaluated(trial: Trial) -> Trial:
        setting.progress("evaluating a variant in full", 0, 0)
        good, drop = wishes.judge(open_session(trial.path, setting.device, setting.threads), trial.fidelity)
        return replace(trial, good=good, drop=drop)

    search = search_within(bench, trials, evaluated, wishes.seconds, setting.progress)
    try:
        return decide(search.trials, bench, wishes), list(search.trials)
    except NothingPaid as nothing:
        if refusal := best_effort(search, bench, wishes):
            error, best = refusal
            error.kept = target.with_name("best-effort.onnx")
            _hand_over(best, error.kept, bench)
            raise error from nothing
        raise


def _hand_over(best: Trial, target: Path, bench: Bench) -> None:
    if _has_weights_beside(best.path):
        _write_anew(best, target, bench)
    else:
        best.path.replace(target)


def _try_alike_channels(
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


def count_ways(model: ir.Model, treatment: Treatment) -> dict[str, dict[str, int]]:
    """How many nodes of each operator compute in which way; weighted ones that stay float count as `float`."""
    counts: dict[str, dict[str, int]] = {}
    kept = consistent_ways(model, treatment)
    for graph in all_graphs(model):
        for node in graph:
            way = kept.get(str(node.name)) or ("float" if weight_of(node) is not None or node.op_type in RECURRENT else None)
            if way is not None:
                ways = counts.setdefault(node.op_type, {})
                ways[str(way)] = ways.get(str(way), 0) + 1
    return counts


def refuse_hopeless(model: ir.Model) -> None:
    """Raises NothingPaid in one sentence where there is nothing to quantize."""
    if reason := already_quantized(model):
        raise NothingPaid(reason, hint="quantize the float model that it was made from")
    if half_precision(model):
        raise NothingPaid("its weights are float16, and INT8 starts from float32", hint="quantize the float32 model that it was made from")
    if not any(compressible(v) for g in all_graphs(model) for v in graph_constants(g)):
        if small := too_small_or_wide(model):
            raise NothingPaid(*small[:1], hint=small[1])
        operators = sorted({n.op_type for g in all_graphs(model) for n in g} - {"Constant", "Cast", "Identity", "Reshape"})
        listed = ", ".join(operators[:5]) + (", …" if len(operators) > 5 else "")
        raise NothingPaid(
            f"there is nothing to quantize: no operator has float weights ({listed})",
            hint="optkit inspect MODEL shows what the model is made of",
        )


def _compete(bench: Bench, treatments: Sequence[Treatment], wishes: Wishes, setting: Setting, calibration: Feeds | None) -> list[Trial]:
    built, progress = [], setting.progress
    for done, treatment in enumerate(treatments):
        progress("building variants", done, len(treatments))
        built.append(bench.attempt(treatment))
    trials = bench.time([t for t in built if t is not None], wishes.seconds)
    computing = [t for t in trials if t.treatment.ways and t.ratio is not None]
    fastest = min(computing, key=time_ratio, default=None)
    if fastest is None:
        return [*trials, *_mended(bench, trials, wishes, progress)]
    if wishes.scored:
        return [*trials, *_quicker(bench, fastest, wishes)[0]]
    bench.drop_files(trials, [fastest, *(t for t in trials if t.good and not _beaten(t, trials))])
    more = _improve(bench, fastest, [t for t in computing if t.good], wishes, setting, calibration)
    trials = _timed_again(bench, trials, more, wishes) if more else trials
    return [*trials, *_mended(bench, trials, wishes, progress)]


def _mended(bench: Bench, trials: Sequence[Trial], wishes: Wishes, progress: Progress) -> list[Trial]:
    """Where nothing is good: 8-bit storage without the layers to blame, those first that give most for their bytes."""
    stored = next((t for t in trials if not t.treatment.ways), None)
    if stored is None or wishes.scored or any(t.good for t in trials) or bench.size > LARGE:
        return []
    sizes = {str(n.name): float(weight_of(n).size) for n in weighted_nodes(bench.model)}  # type: ignore[union-attr]
    return bench.time([t for t in refine(bench, stored, wishes.floor, sizes, progress) if t.good], wishes.seconds)


def _timed_again(bench: Bench, trials: Sequence[Trial], more: Sequence[Trial], wishes: Wishes) -> list[Trial]:
    """Beside what came later, those of the first that may still win; of the others the time is known."""
    open_still = {t.path for t in trials if t.good and not _beaten(t, trials)}
    timed = {t.path: t for t in bench.time([*(t for t in trials if t.path in open_still), *more], wishes.seconds)}
    return [timed.get(t.path, t) for t in (*trials, *more)]


def _improve(
    bench: Bench, fastest: Trial, faithful: Sequence[Trial], wishes: Wishes, setting: Setting, calibration: Feeds | None
) -> list[Trial]:
    """More variants of the fastest: without the layers that integers slow down, and, where it loses too much, without those to blame."""
    more, saved = _quicker(bench, fastest, wishes)
    more += _single_scaled(bench, fastest, faithful, wishes)
    fastest = min([fastest, *more], key=time_ratio)
    if fastest.good or time_ratio(fastest) >= FASTER or _near(fastest, faithful):
        return more
    bench.scaled = other = scaled_bench(bench, fastest.treatment, calibration, wishes.ranges, setting)
    start = other.attempt(scaled(fastest.treatment)) if other is not None else None
    if other is not None and start is not None and room(start.fidelity, wishes.floor) > room(fastest.fidelity, wishes.floor):
        return more + refine(other, start, wishes.floor, saved, setting.progress)
    return more + refine(bench, fastest, wishes.floor, saved, setting.progress)


def _quicker(bench: Bench, fastest: Trial, wishes: Wishes) -> tuple[list[Trial], dict[str, float]]:
    """The same without the layers that integers slow down, where that is worth a variant; and the seconds that each layer saves."""
    names = [n for n in fastest.treatment.ways if bench.is_weighted(n)]
    before, after = (node_times(path, bench.profiled, bench.threads, bench.device) for path in (bench.as_float(), fastest.path))
    saved = gains(names, before, after, bench.outputs)
    quicker = without_slow(fastest, saved, sum(after.values()))
    trial = bench.attempt(quicker) if quicker is not None and quicker.ways else None
    return (bench.time([trial], wishes.seconds / 3) if trial is not None else []), saved


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


def _nothing_for(method: str, model: ir.Model, calibrated: bool) -> NothingPaid | DataError:
    if method == "static" and not calibrated and weighted_nodes(model):
        return DataError(
            "static INT8 needs examples to find activation ranges", hint="pass --data examples.npz: one array for each model input"
        )
    return NothingPaid(f"method {method} finds nothing to quantize in this model", hint="try --method auto")


def _has_weights_beside(path: Path) -> bool:
    return path.with_name(f"{path.name}.data").exists()


def _write_anew(best: Trial, target: Path, bench: Bench) -> None:
    """A model over 2 GB names its weights file, so it is written again under its own name."""
    from optkit.formats.onnx import save_model
    from optkit.quantization.variants.treatment import build

    save_model(build(bench.model, best.treatment, bench.learned), target)
