"""`prune_channels` of ONNX models: examples, measured latency, what pays, and notes around `optkit.pruning.graph`."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

import onnx_ir as ir

from optkit.artifact import Artifact
from optkit.datasets import Examples
from optkit.errors import DataError, NothingPaid, UsageError
from optkit.formats.onnx import load_model, model_size, save_model
from optkit.formats.onnx_simplify import free_constant_inputs
from optkit.passes import Job
from optkit.passes._judging import JUDGED, split
from optkit.passes._slower import refuse_slower, timed_on
from optkit.pruning.graph.prune import MOST, Measure, Pruned, Pruner, Wishes
from optkit.pruning.graph.weigh import Limits
from optkit.pruning.patterns import matched
from optkit.quantization.calibration.feeds import Feeds
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.fidelity.reference import Fidelity, Reference
from optkit.quantization.float_graph.checked import same_answers
from optkit.quantization.float_graph.prepare import Prepared, prepare
from optkit.quantization.recognise import already_quantized
from optkit.quantization.variants.race import Feed, race, raced_feeds
from optkit.runtimes import full_feeds, open_session
from optkit.stats.interval import Interval
from optkit.timing.typical import Typical

if TYPE_CHECKING:
    from optkit.passes.prune_channels import PruneChannels

HALF = 0.5
FEW = 32
"""Examples below which chance has a say."""
LEAST = 3.0
"""dB at the outputs."""
LITTLE = 10.0
"""dB at the outputs."""
TRIES = 5
"""Of sizes, until one takes the time that is wished."""
NEAR = 0.05
"""Of the time that is wished; below it by no more is near enough."""
SECONDS = 2.0
"""Of timing one size."""


def prune_onnx_channels(asked: "PruneChannels", source: Artifact, target: Path, job: Job) -> None:
    """Write the pruned model and note what went and what it costs. Raises NothingPaid, UsageError and DataError."""
    model = load_model(source.path)
    free_constant_inputs(model)
    importance = _importance(asked, source)
    if quantized := already_quantized(model):
        raise UsageError(quantized, where=str(source.path), hint="prune the float model, then quantize the result")
    learned, judged = _examples(source, job)
    session = open_session(source.path, "cpu", job.threads)
    feeds = list(full_feeds(session, judged))
    prepared = _prepared(model, feeds, job.threads)
    reference = Reference(prepared.model, session, feeds)
    raced = raced_feeds(open_session(source.path, timed_on(job), job.threads), feeds, timed_on(job), job.threads)
    names = {str(n.name): n.op_type for n in prepared.model.graph if n.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul")}
    measure: Measure = "channels" if asked.target is None else "parameters" if asked.target[0] == "parameters" else "macs"
    ratio = asked.ratio or HALF if asked.target is None else 1 - asked.target[1]
    exclude = tuple(sorted(matched(asked.exclude, names)))
    wishes = Wishes(ratio, measure, asked.scope, importance, Limits(asked.round_to), exclude)
    pruner = Pruner(prepared.model, Watcher(learned, job.threads, progress=job.progress), reference, wishes)
    if asked.latency is not None:
        ratio = _size_for(asked.latency, pruner, source.path, raced, job)
    pruned = pruner.prune(ratio)
    save_model(pruned.model, target)
    fidelity = reference.compare(open_session(target, "cpu", job.threads))
    _check(source, target, pruner, pruned, fidelity)
    times = race([source.path, target], raced, seconds=SECONDS, threads=job.threads, device=timed_on(job), seed=job.seed)
    refuse_slower("pruned", source, times[1], "take more channels out, or leave layers whole with --exclude")
    _tell(job, pruner, pruned, fidelity, times[1])
    job.note("importance", importance)
    job.note("remarks", _remarks(prepared, pruner.watcher.examples, pruned, fidelity))
    job.note("calibrated_on", len(pruner.watcher.examples))


def _importance(asked: "PruneChannels", source: Artifact) -> Literal["least_squares", "magnitude"]:
    if asked.importance == "magnitude":
        return "magnitude"
    if asked.importance in ("auto", "least_squares"):
        return "least_squares"
    raise UsageError(
        f"importance {asked.importance} needs a PyTorch model", where=str(source.path), hint="take least_squares (auto) or magnitude"
    )


def _examples(source: Artifact, job: Job) -> tuple[Examples, Examples]:
    if job.examples is None:
        what = "channels of an ONNX model are chosen by what examples show"
        raise DataError(what, where=str(source.path), hint="give calibration examples; they need no labels")
    return split(job.examples, MOST, JUDGED)


def _prepared(model: ir.Model, feeds: list[Feed], threads: int) -> Prepared:
    ready = prepare(model, soften=False)
    return ready if same_answers(model, ready.model, feeds[:4], threads) else prepare(model, soften=False, rewrite=False)


def _size_for(share: float, pruner: Pruner, original: Path, raced: Typical, job: Job) -> float:
    """The share of multiply-accumulates that must go so that a run takes `share` of the original's time, measured."""
    tried: dict[float, float] = {}
    least = round(1.0005 - pruner.most(), 3)
    left = max(share, least)
    with TemporaryDirectory(prefix="optkit-") as folder:
        path = Path(folder) / "tried.onnx"
        for number in range(TRIES):
            save_model(pruner.cut(1 - left)[0], path)
            tried[left] = race([original, path], raced, seconds=SECONDS, threads=job.threads, device=timed_on(job), seed=job.seed)[1].value
            job.progress("timing sizes", number + 1, TRIES)
            if share * (1 - NEAR) <= tried[left] <= share:
                break
            following = max(_following(tried, share), least)
            if following in tried:
                break
            left = following
    job.note("measured_trials", [{"macs": left, "time": time} for left, time in tried.items()])
    good = [left for left, time in tried.items() if time <= share]
    if not good:
        best = min(tried.values())
        raise NothingPaid(f"no size takes {share:.0%} of the time: the fastest of {len(tried)} took {best:.0%}", hint="allow more time")
    return 1 - max(good)


def _following(tried: dict[float, float], share: float) -> float:
    """A line through the two sizes nearest to the wish, or through one and the origin's opposite: all of it takes all the time."""
    known = {**tried, 1.0: 1.0}
    above = min((left for left, time in known.items() if time > share), default=1.0)
    below = max((left for left, time in known.items() if time <= share), default=0.0)
    if below == 0.0:
        return round(above * min(0.9, share / known[above]), 3)
    slope = (known[above] - known[below]) / max(above - below, 1e-6)
    aimed = below + (share * (1 - NEAR / 2) - known[below]) / slope if slope > 0 else (above + below) / 2
    return round(min(max(aimed, below + 0.1 * (above - below)), above - 0.1 * (above - below)), 3)


def _check(source: Artifact, target: Path, pruner: Pruner, pruned: Pruned, fidelity: Fidelity) -> None:
    """Raise NothingPaid where what came out is not worth having."""
    if not fidelity.finite or not fidelity.varies:
        said = "its outputs are not finite" if not fidelity.finite else "its outputs do not depend on the input any more"
        raise NothingPaid(f"of the pruned model nothing is left: {said}", where=str(source.path), hint="take fewer channels out")
    if fidelity.sqnr < LEAST:
        what = f"the pruned model answers otherwise: {fidelity.sqnr:.1f} dB, and half of what varies in the outputs is noise at 3 dB"
        raise NothingPaid(what, where=str(source.path), hint="take fewer channels out, or prune the PyTorch model and train it on")
    if pruned.size.parameters >= pruner.size.parameters or model_size(target) >= model_size(source.path):
        raise NothingPaid("the pruned model is not smaller", where=str(source.path), hint="take more channels out, or leave the pass out")


def _tell(job: Job, pruner: Pruner, pruned: Pruned, fidelity: Fidelity, time: Interval) -> None:
    job.note("kept", {name: f"{left} of {had} channels" for name, (had, left) in pruned.widths.items() if left < had})
    job.note("left whole", {name: f"all {had} channels" for name, (had, left) in pruned.widths.items() if left == had})
    job.note("parameters", [pruner.size.parameters, pruned.size.parameters])
    job.note("macs", [pruner.size.macs, pruned.size.macs])
    job.note("layers solved again", pruned.refitted.layers)
    job.note("measured_sqnr_before_refit", round(pruned.plain_sqnr, 2))
    job.note("measured_sqnr", round(fidelity.sqnr, 2))
    job.note("measured_agreement", fidelity.agreement)
    job.note("measured_ratio", [time.value, time.low, time.high])
    job.note("measured_in", "ONNX Runtime")


def _remarks(prepared: Prepared, learned: Feeds, pruned: Pruned, fidelity: Fidelity) -> list[str]:
    found = list(prepared.remarks)
    if short := pruned.refitted.short_of_rows:
        layers = f"{len(short)} layer{'s' if len(short) > 1 else ''} ({short[0]}{', …' if len(short) > 1 else ''})"
        found.append(f"{layers} saw fewer rows than it has weights per output: held near the weights it had; more examples teach more")
    if len(learned) < FEW:
        found.append(f"channels were chosen by few examples ({len(learned)}): give {FEW} or more")
    if fidelity.sqnr < LITTLE:
        found.append(f"little is left of the answers ({max(fidelity.sqnr, 0.0):.0f} dB): take fewer channels out, or train what is left")
    return found
