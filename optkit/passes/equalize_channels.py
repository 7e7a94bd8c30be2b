"""Give the channels between layers alike ranges, so that one scale serves all of them once they are quantized."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from optkit.artifact import Artifact
from optkit.passes import Job, Pass
from optkit.passes._parameters import MaxMemory


class EqualizeChannels(Pass):
    """Cross-layer equalization of a float model: factors move from one layer into the next; the answers stay. Before quantize_static."""

    draws: ClassVar[str | tuple[str, ...] | None] = "calibration"

    samples: int = Field(16, ge=1, le=16, description="Calibration examples to see the channels' ranges on at most, evenly spaced.")
    max_memory: MaxMemory = None

    def run(self, source: Artifact, target: Path, job: Job) -> None:
        """Raises NothingPaid where no tensor gains, or the answers would change."""
        from optkit.passes._same import rewrite_same
        from optkit.quantization.calibration.watcher import Watcher
        from optkit.quantization.channels.equalize import equalize_on

        rewrite_same(
            source,
            target,
            job,
            lambda model, examples: equalize_on(model, Watcher(examples.spread(self.samples), job.threads, self.max_memory, job.progress)),
            "no channels between layers would gain by factors of their own",
        )
