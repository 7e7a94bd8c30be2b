"""Pick the variant that pays: fastest among those faithful enough, measured; storage alone where computing in integers does not pay."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from optkit.errors import DataError, NothingPaid
from optkit.quantization.affine import Grid, grid_for
from optkit.quantization.candidates import STORED, candidates
from optkit.quantization.compress import compressible
from optkit.quantization.graphs import all_graphs
from optkit.quantization.insert_static import tensors_to_observe
from optkit.quantization.means import channel_means
from optkit.quantization.node_times import gains, node_times
from optkit.quantization.observe import Feeds, observe
from optkit.quantization.operators import weight_of
from optkit.quantization.prepare import prepare_checked
from optkit.quantization.recognise import already_quantized, graph_constants, half_precision
from optkit.quantization.refine import refine, without_slow
from optkit.quantization.smooth import find_smoothing
from optkit.quantization.treatment import Learned, Treatment, Way, weighted_nodes
from optkit.quantization.trial import Bench, Trial
from optkit.registry import load

Progress = Callable[[str, int, int], None]

SLOWER = 1.03
"""A variant whose whole interval lies above this is slower; less than that nobody notices."""
FASTER = 0.97
EXAMPLES_FOR_MEANS = 32
TIE = 0.05
"""Variants this close in time tie: the more faithful one is taken."""


@dataclass(frozen=True)
class Wishes:
    """What the user asked for."""

    method: str = "auto"
    ranges: str = "mse"
    exclude: tuple[str, ...] = ()
    floor: float = 20.0
    """dB of signal to noise at the outputs that a variant must keep to be handed over as faithful."""
    accept_size_only: bool = False
    seconds: float = 3.0
    """Of racing."""
    portable: bool = True
    """The same answers on CPUs that add products in 16 bits."""


@dataclass(frozen=True)
class Setting:
    """Where and on what it is decided."""

    device: str = "cpu"
    threads: int = 1
    seed: int = 0
    progress: Progress = lambda what, done, total: None


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


def choose(
    original: Path, model: ir.Model, calibration: Feeds | None, judging: Feeds, wishes: Wishes, setting: Setting, target: Path
) -> Choice:
    """Write the best variant of `model` (read from `original`) to `target`.

    `calibration` gives examples for static ranges; None leaves static variants out. Fidelity and time are judged on `judging`.
    Raises NothingPaid, with the reason, when no variant pays.
    """
    refuse_hopeless(model)
    feeds = list(judging.feeds(1))
    prepared = prepare_checked(original, model, feeds, setting.device, setting.threads)
    treatments = candidates(prepared.model, wishes.method, calibration is not None, wishes.exclude, wishes.portable)
    if not treatments:
        raise _nothing_for(wishes.method, prepared.model, calibration is not None)
    learned = calibrate(prepared.model, treatments, calibration, wishes.ranges, setting)
    with tempfile.TemporaryDirectory(prefix="optkit-") as folder:
        bench = Bench(original, prepared.model, learned, feeds, Path(folder), setting.device, setting.threads, setting.seed)
        trials = _compete(bench, treatments, wishes, setting.progress)
        best = decide(trials, bench, wishes)
        best.path.replace(target) if not _has_weights_beside(best.path) else _move_with_weights(best.path, target, bench, best)
        used = len(calibration) if calibration is not None else 0
        ways = count_ways(prepared.model, best.treatment)
        return Choice(best, tuple(trials), prepared.remarks, bench.failures, used, ways)


def count_ways(model: ir.Model, treatment: Treatment) -> dict[str, dict[str, int]]:
    """How many nodes of each operator compute in which way; weighted ones that stay float count as `float`."""
    counts: dict[str, dict[str, int]] = {}
    for graph in all_graphs(model):
        for node in graph:
            way = treatment.ways.get(str(node.name)) or ("float" if weight_of(node) is not None else None)
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
        operators = sorted({n.op_type for g in all_graphs(model) for n in g} - {"Constant", "Cast", "Identity", "Reshape"})
        listed = ", ".join(operators[:5]) + (", …" if len(operators) > 5 else "")
        raise NothingPaid(
            f"there is nothing to quantize: no operator has float weights ({listed})",
            hint="optkit inspect MODEL shows what the model is made of",
        )


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


def _compete(bench: Bench, treatments: Sequence[Treatment], wishes: Wishes, progress: Progress) -> list[Trial]:
    built = []
    for done, treatment in enumerate(treatments):
        progress("building variants", done, len(treatments))
        built.append(bench.attempt(treatment))
    trials = bench.time([t for t in built if t is not None], wishes.seconds)
    computing = [t for t in trials if t.treatment.ways and t.ratio is not None]
    fastest = min(computing, key=_time, default=None)
    if fastest is None:
        return trials
    more = _improve(bench, fastest, [t for t in computing if t.fidelity.sqnr >= wishes.floor], wishes, progress)
    return bench.time([*trials, *more], wishes.seconds) if more else trials


def _improve(bench: Bench, fastest: Trial, faithful: Sequence[Trial], wishes: Wishes, progress: Progress) -> list[Trial]:
    """More variants of the fastest: without the layers that integers slow down, and, where it loses too much, without those to blame."""
    names = [n for n in fastest.treatment.ways if bench.is_weighted(n)]
    feeds = bench.feeds[:2]
    before, after = (node_times(path, feeds, bench.threads, bench.device) for path in (bench.original, fastest.path))
    saved = gains(names, before, after)
    more: list[Trial] = []
    quicker = without_slow(fastest, saved, sum(after.values()))
    if quicker is not None and quicker.ways and (trial := bench.attempt(quicker)) is not None:
        more += bench.time([trial], wishes.seconds / 3)
        if _time(more[-1]) < _time(fastest):
            fastest = more[-1]
    if fastest.fidelity.sqnr < wishes.floor and _time(fastest) < FASTER and not _near(fastest, faithful):
        more += refine(bench, fastest, wishes.floor, saved, progress)
    return more


def _time(trial: Trial) -> float:
    return trial.ratio.value if trial.ratio is not None else float("inf")


def _near(fastest: Trial, others: Sequence[Trial]) -> bool:
    return any(_time(o) <= _time(fastest) * (1 + TIE) for o in others)


def decide(trials: Sequence[Trial], bench: Bench, wishes: Wishes) -> Trial:
    """The variant to hand over. Raises NothingPaid."""
    smaller = [t for t in trials if t.size < bench.size and t.ratio is not None]
    sound = [t for t in smaller if t.fidelity.sqnr >= wishes.floor]
    not_slower = [t for t in sound if t.ratio is not None and t.ratio.low <= SLOWER]
    if not_slower:
        lead = min(t.ratio.value for t in not_slower if t.ratio)
        tied = [t for t in not_slower if t.ratio and t.ratio.value <= max(lead * (1 + TIE), lead if lead < FASTER else 1.0 + TIE)]
        return max(tied, key=lambda t: t.fidelity.sqnr) if lead < FASTER else min(tied, key=lambda t: t.size)
    if sound and wishes.accept_size_only:
        return min(sound, key=lambda t: t.size)
    raise _nothing_paid(trials, smaller, sound, wishes, bench)


def _nothing_paid(trials: Sequence[Trial], smaller: Sequence[Trial], sound: Sequence[Trial], wishes: Wishes, bench: Bench) -> NothingPaid:
    if sound:
        best = min(sound, key=lambda t: t.ratio.value if t.ratio else 9.0)
        assert best.ratio is not None
        return NothingPaid(
            f"INT8 does not pay here: the best variant ({best.treatment.name}) takes {best.ratio.value:.2f}× the time of the original",
            hint=f"--accept-size-only takes it knowingly, for a file of {best.size / bench.size:.0%} of the size",
        )
    if smaller:
        best = max(smaller, key=lambda t: t.fidelity.sqnr)
        return NothingPaid(
            f"INT8 loses too much here: the most faithful variant ({best.treatment.name}) keeps {best.fidelity.sqnr:.1f} dB, "
            f"{wishes.floor:.0f} are asked for",
            hint="give more calibration examples with --data, leave layers out with --exclude, or lower --min-sqnr",
        )
    reasons = "; ".join(f"{name}: {why}" for name, why in bench.failures.items())
    return NothingPaid(f"no INT8 variant is smaller than the original{f' ({reasons})' if reasons else ''}", hint="try --fp16")


def _nothing_for(method: str, model: ir.Model, calibrated: bool) -> NothingPaid | DataError:
    if method == "static" and not calibrated and weighted_nodes(model):
        return DataError(
            "static INT8 needs examples to find activation ranges", hint="pass --data examples.npz: one array for each model input"
        )
    return NothingPaid(f"method {method} finds nothing to quantize in this model", hint="try --method auto")


def _has_weights_beside(path: Path) -> bool:
    return path.with_name(f"{path.name}.data").exists()


def _move_with_weights(path: Path, target: Path, bench: Bench, best: Trial) -> None:
    """A model over 2 GB names its weights file, so it is written again under its own name."""
    from optkit.formats.onnx import save_model
    from optkit.quantization.treatment import build

    save_model(build(bench.model, best.treatment, bench.learned), target)


__all__ = ["STORED", "Choice", "Setting", "Wishes", "choose"]
