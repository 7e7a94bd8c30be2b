"""Take outlier channels out of what matrix products read, so that one scale serves what is left."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from optkit.artifact import Artifact
from optkit.passes import Job, Pass
from optkit.passes._parameters import MaxMemory

if TYPE_CHECKING:
    import onnx_ir as ir

    from optkit.datasets import Examples


class SmoothActivations(Pass):
    """Outlier channels of a float model are divided into the weights, or go apart in float; the answers stay. Before quantize_dynamic."""

    draws: ClassVar[str | tuple[str, ...] | None] = "calibration"

    samples: int = Field(32, ge=1, description="Calibration examples to look at the channels on at most, evenly spaced.")
    by_outputs: bool = Field(True, description="Choose between ways to divide by what each does to the outputs, not by a formula alone.")
    max_memory: MaxMemory = None

    def run(self, source: Artifact, target: Path, job: Job) -> None:
        """Raises NothingPaid where no division is worth its time, or the answers would change."""
        from optkit.passes._same import rewrite_same

        def divide(model: "ir.Model", examples: "Examples") -> "tuple[ir.Model, int]":
            from optkit.quantization.calibration.watcher import Watcher
            from optkit.quantization.channels.divide import divide_inputs
            from optkit.quantization.channels.measured_divisions import measured_divisions
            from optkit.quantization.channels.smooth import find_smoothing
            from optkit.quantization.graphs import prune_unused, share_names
            from optkit.quantization.integer_graph.insert_dynamic import can_be_dynamic

            watcher = Watcher(examples.spread(self.samples), job.threads, self.max_memory, job.progress)
            found = find_smoothing(model, watcher)
            if found and self.by_outputs:
                found = measured_divisions(source.path, model, found, watcher)
            made = model.clone()
            share_names(made)
            done = divide_inputs(made.graph, [str(n.name) for n in made.graph if can_be_dynamic(n)], found)
            prune_unused(made)
            return made, len(done)

        rewrite_same(source, target, job, divide, "no channels of what matrix products read are worth dividing")
