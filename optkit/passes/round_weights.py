"""Decide anew which way each weight of a quantized model is rounded, so that its layers give what the float model's give."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from optkit.artifact import Artifact
from optkit.passes import Job, Pass
from optkit.passes._parameters import MaxMemory


class RoundWeights(Pass):
    """Learned rounding, layer by layer, from examples without labels: integers move by 1 at most, where the outputs come closer."""

    draws: ClassVar[str | tuple[str, ...] | None] = "calibration"

    samples: int = Field(64, ge=4, description="Calibration examples to learn from at most, evenly spaced; every layer runs them once.")
    max_memory: MaxMemory = None

    def depends(self, original: str) -> Mapping[str, str]:
        return {"original": original}

    def run(self, source: Artifact, target: Path, job: Job) -> None:
        from optkit.passes._closer import reconstruct_closer

        reconstruct_closer(source, target, job, weights=True, samples=self.samples, max_memory=self.max_memory)
