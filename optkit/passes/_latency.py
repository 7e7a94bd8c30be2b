"""How long a pruned model takes, as a share of the original's time: measured in turns, as ONNX where it can be exported."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optkit.artifact import Artifact
from optkit.datasets import Examples
from optkit.errors import ModelError
from optkit.formats.torch import TorchModel, save_torch
from optkit.formats.torch_export import NEWEST, export
from optkit.passes import Job
from optkit.passes._slower import timed_on
from optkit.quantization.variants.race import race
from optkit.stats.interval import Interval

if TYPE_CHECKING:
    import torch

SECONDS = 2.0
"""For each comparison."""


class MeasuredLatency:
    """Called with a module: its share of the original's time, at most, with 95 % confidence."""

    def __init__(self, source: Artifact, model: TorchModel, examples: Examples, job: Job, folder: Path) -> None:
        self.origin, self.examples, self.job, self.folder = model.origin, examples, job, folder
        self.trials: list[dict[str, Any]] = []
        """What was measured, in order."""
        self.runtime = "ONNX Runtime"
        try:
            self.original = self._written(model.module, "original")
        except ModelError as error:
            self.runtime, self.original = f"PyTorch, since {error.what}", source.path

    def __call__(self, module: "torch.nn.Module") -> float:
        self.job.progress(f"measuring, trial {len(self.trials) + 1}", 0, 0)
        found = timed([self.original, self._written(module, f"trial-{len(self.trials)}")], self.examples, self.job)
        self.trials.append({"parameters": sum(each.numel() for each in module.parameters()), "time": [found.value, found.low, found.high]})
        return found.high

    def _written(self, module: "torch.nn.Module", name: str) -> Path:
        model = TorchModel(module, self.origin)
        if self.runtime != "ONNX Runtime":
            path = self.folder / f"{name}.safetensors"
            save_torch(model, path)
            return path
        path = self.folder / f"{name}.onnx"
        export(model, next(iter(self.examples.feeds(1))), {}, NEWEST, path)
        return path


def timed(models: Sequence[Path], examples: Examples, job: Job) -> Interval:
    """Time of the second model as a share of the first one's, one example at a time."""
    feeds = [dict(feed) for feed in examples.spread(4).feeds(1)]
    return race(models, feeds, seconds=SECONDS, threads=job.threads, device=timed_on(job), seed=job.seed)[1]
