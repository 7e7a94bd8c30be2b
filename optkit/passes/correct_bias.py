"""Take out of each layer's bias what quantization did to the mean of its outputs."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from optkit.artifact import Artifact
from optkit.passes import Job, Pass
from optkit.passes._parameters import MaxMemory


class CorrectBias(Pass):
    """Bias correction of a quantized model, layer by layer, from examples without labels: every channel gets the float model's mean."""

    draws: ClassVar[str | tuple[str, ...] | None] = "calibration"

    samples: int = Field(
        64, ge=4, description="Calibration examples to take means over at most, evenly spaced; every layer runs them once."
    )
    max_memory: MaxMemory = None

    def depends(self, original: str) -> Mapping[str, str]:
        return {"original": original}

    def run(self, source: Artifact, target: Path, job: Job) -> None:
        from optkit.passes._closer import reconstruct_closer

        reconstruct_closer(source, target, job, weights=False, samples=self.samples, max_memory=self.max_memory)
