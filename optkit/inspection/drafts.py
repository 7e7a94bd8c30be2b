"""What INT8, FP16 and batches gain here, tried: drafts whose ranges rest on a few examples, run in turns with the model.

Kernels timed one by one do not tell what the runtime fuses, what leaves integers and comes back between them, or whether the answers
hold; a draft has all of that.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from optkit.datasets import Examples
from optkit.errors import NothingPaid, OptkitError
from optkit.formats.onnx import load_model, model_size
from optkit.formats.onnx_simplify import free_constant_inputs, simplify
from optkit.inspection.predict import BATCH
from optkit.inspection.under_roof import Draft
from optkit.passes._judging import judged_of, split
from optkit.progress import Progress
from optkit.quantization.choosing.decide import time_ratio
from optkit.quantization.choosing.hopeless import refuse_hopeless
from optkit.quantization.choosing.without_slow import without_slow
from optkit.quantization.float_graph.checked import prepare_checked
from optkit.quantization.half.halving import prepare_halving
from optkit.quantization.variants.calibrate import all_within_reach, calibrate
from optkit.quantization.variants.candidates import candidates
from optkit.quantization.variants.node_times import profile_nodes
from optkit.quantization.variants.race import race
from optkit.quantization.variants.treatment import Treatment, Way
from optkit.quantization.variants.trial import Bench, Trial
from optkit.quantization.variants.wishes import Setting, Wishes
from optkit.runtimes import fixed_batch, full_feeds, open_session
from optkit.stats.ratio import ratio_of_medians
from optkit.timing.clocks import Clock
from optkit.timing.lanes import Here, opener
from optkit.timing.rounds import time_rounds

LEARNED = 32
"""Examples to calibrate on."""
SECONDS = 2.0
"""Of running drafts and model in turns."""
LOOKED_AT, RACED = 8, 4
"""Examples that show which values leave float16's range, and those that are timed."""
LARGEST = 500_000_000
"""Bytes of a model of which drafts would take too long."""


def try_half(path: Path, examples: Examples, device: str, threads: int) -> float | None:
    """How many times as fast the model is in FP16 on a device other than the CPU, run in turns with it; None where that cannot be tried."""
    if device == "cpu" or model_size(path) > LARGEST:
        return None
    with tempfile.TemporaryDirectory(prefix="optkit-") as folder:
        draft = Path(folder) / "half.onnx"
        try:
            prepare_halving(simplify(load_model(path)), path, examples, count=LOOKED_AT, threads=threads).write(draft)
            feeds = list(examples.spread(RACED).feeds(1))
            return 1 / race([path, draft], feeds, seconds=SECONDS, threads=threads, device=device, seed=0)[1].value
        except OptkitError:
            return None


def takes_batches(path: Path, examples: Examples, device: str, threads: int) -> bool:
    """Whether the model takes these examples one by one and several at once."""
    return not examples.whole and fixed_batch(open_session(path, device, threads)) is None


def try_batch(path: Path, examples: Examples, device: str, threads: int) -> float | None:
    """How many times as fast examples are in batches of `BATCH`, run in turns with single ones; None where the model takes none."""
    if not takes_batches(path, examples, device, threads):
        return None
    rows = np.resize(np.arange(len(examples)), BATCH)
    # of one thread the time that it computes: other load interrupts long calls oftener than short ones
    clock: Clock = "thread" if threads == 1 and device == "cpu" else "wall"
    feeds = [[next(examples.take(each).feeds(BATCH))] for each in (rows[:1], rows)]
    try:
        one, many = time_rounds(
            [Here(opener(partial(open_session, path, device, threads), each), clock) for each in feeds], seconds=SECONDS / 2
        )
    except OptkitError:
        return None
    return BATCH / ratio_of_medians(one, many).value


@np.errstate(over="ignore", invalid="ignore")
def try_drafts(path: Path, examples: Examples, device: str, threads: int, progress: Progress) -> tuple[Draft, ...] | None:
    """INT8 in the ways that suit the model, the fastest first; empty where it has nothing for integers.

    None where it cannot be tried: the model is too large, or something about it or the examples does not allow it. On made-up
    `examples` nobody can tell whether answers hold.
    """
    if model_size(path) > LARGEST:
        return None
    try:
        return tuple(_tried(path, examples, Setting(device, threads, progress=progress)))
    except NothingPaid:
        return ()
    except OptkitError:
        return None


def _tried(path: Path, examples: Examples, setting: Setting) -> Sequence[Draft]:
    setting.progress("drafts in INT8", 0, 0)
    model = load_model(path)
    free_constant_inputs(model)
    refuse_hopeless(model)
    seen, judged = split(examples, LEARNED, judged_of(path))
    feeds = list(full_feeds(open_session(path, setting.device, setting.threads), judged))
    prepared = prepare_checked(path, model, feeds, setting.device, setting.threads).model
    treatments = _worth_a_draft(candidates(prepared, "auto", calibrated=True), real=not examples.synthetic)
    wishes = Wishes()
    learned = calibrate(prepared, treatments, setting.watcher(seen), wishes.ranges)
    with tempfile.TemporaryDirectory(prefix="optkit-") as folder:
        place = (setting.device, setting.threads, setting.seed)
        bench = Bench(path, prepared, learned, feeds, Path(folder), *place, wishes.judge, wishes.hopeless)
        built: list[Trial] = []
        for done, treatment in enumerate(all_within_reach(prepared, treatments, learned)):
            setting.progress("drafts in INT8", done, len(treatments))
            if not _holds_unsmoothed(treatment, built) and (trial := bench.attempt(treatment)) is not None:
                built.append(trial)
        setting.progress("drafts in turns with the model", 0, 0)
        timed = bench.time(built, SECONDS)
        setting.progress("drafts without slow layers", 0, 0)
        timed += bench.time(list(_quicker(bench, timed)), SECONDS / 2)
    return [_draft(trial, real=not examples.synthetic) for trial in sorted(timed, key=time_ratio)]


def _worth_a_draft(found: Sequence[Treatment], *, real: bool) -> list[Treatment]:
    """Of those with whole regions and without the first; smoothed ones where answers can be judged, which is what smoothing is for."""
    static = next((t for t in found if Way.STATIC in t.ways.values() or Way.STATIC_FLOAT_OUT in t.ways.values()), None)
    return [t for t in found if (t is static or t.name != "static") and (real or not t.smooth)]


def _holds_unsmoothed(treatment: Treatment, built: Sequence[Trial]) -> bool:
    """Whether the same without smoothing, which takes no longer, has answers that hold."""
    return treatment.smooth and any(t.good and replace(t.treatment, smooth=True, name=treatment.name) == treatment for t in built)


def _quicker(bench: Bench, timed: Sequence[Trial]) -> Iterator[Trial]:
    """What `optkit quantize` tries next: the fastest, and the first with whole regions, without the nodes that integers slow down."""
    computing = [trial for trial in timed if trial.treatment.ways and trial.ratio is not None]
    if not computing:
        return
    before = profile_nodes(bench.as_float(), bench.profiled, bench.threads, bench.device)
    regions = [trial for trial in computing if Way.STATIC in trial.treatment.ways.values()][:1]
    for start in {trial.path: trial for trial in (min(computing, key=time_ratio), *regions)}.values():
        after = profile_nodes(start.path, bench.profiled, bench.threads, bench.device)
        quicker, _ = without_slow(bench.model, start.treatment, before, after)
        if quicker is not None and (trial := bench.attempt(quicker)) is not None:
            yield trial


def _draft(trial: Trial, *, real: bool) -> Draft:
    return Draft(trial.treatment.name, 1 / time_ratio(trial), trial.good if real else None)
