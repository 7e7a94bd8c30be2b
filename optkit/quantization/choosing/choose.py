"""Pick the variant that pays: fastest among those faithful enough, measured; storage alone where computing in integers does not pay."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.errors import DataError, NothingPaid
from optkit.quantization.calibration.feeds import Divisible, Feeds
from optkit.quantization.choosing.alike_channels import try_alike_channels
from optkit.quantization.choosing.close_calls import raced_again
from optkit.quantization.choosing.compete import compete
from optkit.quantization.choosing.decide import NEARLY, SLOWER, TIE, decide, time_ratio
from optkit.quantization.choosing.held_out import lesson_of
from optkit.quantization.choosing.hopeless import nothing_for, refuse_hopeless
from optkit.quantization.choosing.limit_drop import best_effort, search_within
from optkit.quantization.choosing.polish import polish
from optkit.quantization.choosing.remarks import of_measuring, of_result
from optkit.quantization.float_graph.checked import prepare_checked
from optkit.quantization.variants.calibrate import all_within_reach, calibrate, find_outliers
from optkit.quantization.variants.candidates import candidates
from optkit.quantization.variants.race import judged_feeds
from optkit.quantization.variants.spare_threads import spare_threads
from optkit.quantization.variants.treatment import count_ways
from optkit.quantization.variants.trial import Bench, Trial
from optkit.quantization.variants.wishes import Setting, Wishes
from optkit.runtimes import full_feeds, open_session


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
    widened: bool = False
    """Whether the original computes in half precision."""
    measured: tuple[str, ...] = ()
    """More sentences, which tell seconds or bytes."""


@np.errstate(over="ignore", invalid="ignore")
def choose(
    original: Path,
    model: ir.Model,
    calibration: Divisible | None,
    judging: Divisible,
    wishes: Wishes,
    setting: Setting,
    target: Path,
    *,
    made_up: Feeds | None = None,
    unseen: int = 0,
) -> Choice:
    """Write the best variant of `model` (read from `original`) to `target`.

    `calibration` gives examples for static ranges; None leaves static variants out; outlier channels may then be looked for on
    `made_up` ones. Fidelity and time are judged on `judging`, the first `unseen` of which are not in `calibration`.
    Raises NothingPaid, with the reason, when no variant pays.
    """
    refuse_hopeless(model)
    feeds, setting = _judged_on(original, judging, setting)
    prepared = prepare_checked(original, model, feeds, setting.device, setting.threads)
    treatments = candidates(
        prepared.model, wishes.method, calibration is not None, wishes.exclude, wishes.portable, outliers_known=made_up is not None
    )
    if not treatments:
        raise nothing_for(wishes.method, prepared.model, calibration is not None)
    watcher = setting.watcher(calibration) if calibration is not None else None
    if made_up is not None:
        learned = find_outliers(prepared.model, treatments, setting.watcher(made_up))
    else:
        learned = calibrate(prepared.model, treatments, watcher, wishes.ranges)
    treatments = all_within_reach(prepared.model, treatments, learned)
    if wishes.effort == "high" and calibration is None:
        raise DataError("effort high learns from real examples", hint="pass --data examples.npz: one array for each model input")
    with tempfile.TemporaryDirectory(prefix=".variants-", dir=target.parent) as folder:
        place = (setting.device, setting.threads, setting.seed)
        judge = wishes.judge_fidelity if wishes.scored else wishes.judge
        bench = Bench(original, prepared.model, learned, feeds, Path(folder), *place, judge, wishes.hopeless, wishes.settled, setting.spare)
        lesson = None
        if wishes.effort == "high" and calibration is not None:
            lesson = lesson_of(bench, calibration, judging.take(np.arange(unseen)), setting)
            try_alike_channels(bench, treatments, prepared, setting.watcher(calibration), lesson, wishes)
        trials = _looked_at_again(bench, compete(bench, treatments, wishes, setting.progress, watcher), wishes)
        best, trials = _decided(bench, trials, wishes, setting, target)
        if best.ratio is not None and best.ratio.high > 1 + TIE:  # not shown to be no slower
            best, trials = _measured_alone(bench, best, trials, wishes)
        bench = bench.of(best)
        better = polish(bench, best, lesson, wishes) if lesson is not None else best
        best, trials = better, [better if t is best else t for t in trials]
        _hand_over(best, target, bench)
        used = len(calibration) if calibration is not None else 0
        seen = of_result(bench, best, wishes, calibrated=calibration is not None) + (lesson.remarks if lesson is not None else [])
        remarks = (*prepared.remarks, *(learned.of_ranges if best.treatment.calibrated else ()), *learned.remarks, *seen)
        measured = tuple(of_measuring(bench, best, trials, target, wishes, widened=prepared.widened))
        ways = count_ways(bench.model, best.treatment)
        return Choice(best, tuple(trials), remarks, bench.failures, used, ways, prepared.widened, measured)


def _measured_alone(bench: Bench, best: Trial, trials: list[Trial], wishes: Wishes) -> tuple[Trial, list[Trial]]:
    """The winner timed for longer, and who wins then."""
    sure = bench.time([best], 2 * wishes.seconds)[0]
    trials = [sure if t is best else t for t in trials]
    return decide(trials, bench, wishes), trials


def _judged_on(original: Path, judging: Feeds, setting: Setting) -> tuple[list[Mapping[str, Array]], Setting]:
    """Examples to judge on, and the setting with as many threads as help to answer them."""
    session = open_session(original, setting.device, setting.threads)
    feeds = list(full_feeds(session, judging))
    spare = spare_threads(session, feeds[0], setting.device, setting.threads)
    return judged_feeds(session, feeds, setting.device, setting.threads), replace(setting, spare=spare)


def _looked_at_again(bench: Bench, trials: list[Trial], wishes: Wishes) -> list[Trial]:
    """Before all are refused as slower, the nearest one timed alone: a race of many is short for each, and luck of opening it counts."""
    sound = [t for t in trials if t.good and t.size < bench.size and t.ratio is not None]
    best = min(sound, key=time_ratio, default=None)
    if best is None or wishes.scored or time_ratio(best) > NEARLY or any(t.ratio.low <= SLOWER for t in sound if t.ratio is not None):
        return trials
    sure = bench.time([best], 2 * wishes.seconds)[0]
    return [sure if t is best else t for t in trials]


def _decided(bench: Bench, trials: list[Trial], wishes: Wishes, setting: Setting, target: Path) -> tuple[Trial, list[Trial]]:
    """The variant to hand over, and all that were tried. Raises NothingPaid, which names the best so far where the score decides."""
    if not wishes.scored:
        trials = raced_again(bench, trials, wishes)
        return decide(trials, bench, wishes), trials

    def evaluated(trial: Trial) -> Trial:
        setting.progress("evaluating a variant in full", 0, 0)
        good, drop = wishes.judge(open_session(trial.path, setting.device, setting.threads + setting.spare), trial.fidelity)
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


def _has_weights_beside(path: Path) -> bool:
    return path.with_name(f"{path.name}.data").exists()


def _write_anew(best: Trial, target: Path, bench: Bench) -> None:
    """A model over 2 GB names its weights file, so it is written again under its own name."""
    from optkit.formats.onnx import save_model
    from optkit.quantization.variants.build import build

    save_model(build(bench.model, best.treatment, bench.learned), target)
