"""`prune_channels` of PyTorch models: examples, gradients, measured latency and notes around `optkit.pruning.channels`."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from optkit.artifact import Artifact
from optkit.datasets import Examples
from optkit.formats.torch import TorchModel, load_torch, save_torch
from optkit.passes import Job
from optkit.passes._gradients import gather_gradients
from optkit.passes._latency import MeasuredLatency, timed
from optkit.passes._made_up import made_up_for
from optkit.pruning.channels import Asked, Outcome, prune_channels
from optkit.pruning.cost import cost_of
from optkit.pruning.feeds import inputs_for
from optkit.pruning.importance import Importance
from optkit.runtimes.torch import TorchSession

if TYPE_CHECKING:
    from optkit.passes.prune_channels import PruneChannels

TRACED = 2
"""Rows of the batch that a module is traced with."""
HALF = 0.5


def prune_torch_channels(asked: "PruneChannels", source: Artifact, target: Path, job: Job) -> None:
    """Write the pruned model, and note what it cost before and after. Raises what `prune_channels` raises, and DataError."""
    model = load_torch(source.path)
    examples = _examples(model, source, job)
    inputs = inputs_for(model.module, next(iter(examples.feeds(TRACED))))
    importance: Importance = asked.importance if asked.importance in ("taylor", "batch_norm_scale") else "magnitude"
    if importance == "taylor":
        gather_gradients(model, job.examples)
    before = cost_of(model.module, inputs)
    with TemporaryDirectory(prefix="optkit-") as folder:
        latency = MeasuredLatency(source, model, examples, job, Path(folder)) if asked.latency is not None else None
        wish = Asked(asked.ratio or HALF, asked.target, asked.scope, importance, asked.round_to, asked.exclude)
        outcome = prune_channels(model.module, inputs, wish, latency)
    save_torch(model, target)
    after = cost_of(model.module, inputs)
    job.note("importance", importance)
    _tell(outcome, job)
    job.note("parameters", [before.parameters, after.parameters])
    job.note("macs", [before.macs, after.macs])
    ratio = timed([source.path, target], examples, job)
    job.note("measured_ratio", [ratio.value, ratio.low, ratio.high])
    job.note("measured_in", "PyTorch")
    if latency is not None:
        job.note("measured_trials", latency.trials)
        job.note("measured_latency_in", latency.runtime)


def _tell(outcome: Outcome, job: Job) -> None:
    job.note("ratio", round(outcome.ratio, 4))
    job.note("kept", {name: f"{left} of {had} {what}" for name, (had, left, what) in outcome.kept.items() if left < had})
    whole = {name: f"all {had} {what}" for name, (had, left, what) in outcome.kept.items() if left == had}
    job.note("left whole", {**whole, **outcome.whole})


def _examples(model: TorchModel, source: Artifact, job: Job) -> Examples:
    if job.examples is not None:
        return job.examples
    return made_up_for(TorchSession(model.module, model.origin, "cpu", str(source.path)), TRACED, job.seed)
