"""Two zeros in every four weights: the pattern that sparse tensor cores compute twice as fast."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar

from optkit.arrays import Array
from optkit.artifact import Artifact
from optkit.errors import NothingPaid
from optkit.passes import Job, Pass
from optkit.passes._parameters import LayersWhole
from optkit.passes._zeros import NO_FASTER, prune_onnx, prune_torch, tell_sizes
from optkit.pruning.zeros import Mask, fits_two_of_four, two_of_four

GOOD_FOR = "TensorRT and cuSPARSELt compute 2:4 faster on NVIDIA GPUs since Ampere"


class PruneTwoFour(Pass):
    """Sets the two smallest of every four weights along the inputs to 0 (2:4): for TensorRT, not faster in ONNX Runtime.

    A training that follows keeps the zeros, which it should: half of the weights go at once.
    """

    revision: ClassVar[int] = 2
    takes: ClassVar[str | tuple[str, ...]] = ("torch", "onnx")

    exclude: LayersWhole = ()

    def run(self, source: Artifact, target: Path, job: Job) -> None:
        """Raises UsageError for a pattern that matches nothing, NothingPaid where no layer's inputs can be cut into fours."""
        prune = prune_torch if source.format == "torch" else prune_onnx
        prune(source.path, target, partial(_choose, job), self.exclude, job)
        tell_sizes(source, target, job)
        job.note("remarks", [f"{NO_FASTER}; it is once compressed, and {GOOD_FOR}"])


def _choose(job: Job, weights: Mapping[str, Array], axes: Mapping[str, int]) -> Mapping[str, Mask]:
    fit = {name: array for name, array in weights.items() if fits_two_of_four(array.shape, axes[name])}
    if not fit:
        raise NothingPaid("no layer has a multiple of four inputs", hint="use prune_weights")
    job.note(
        "left whole", {name: f"{array.shape[axes[name]]} inputs, no multiple of 4" for name, array in weights.items() if name not in fit}
    )
    return {name: two_of_four(array, axes[name]) for name, array in fit.items()}
