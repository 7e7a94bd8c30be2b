"""Attention, layer norms and activations as one operator each."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from optkit.artifact import Artifact
from optkit.errors import NothingPaid
from optkit.passes import Job, Pass


class FuseTransformer(Pass):
    """Replaces the patterns of a transformer by ONNX Runtime's own operators; the answers are compared with the source's.

    The result holds operators of the domain com.microsoft, so only ONNX Runtime runs it. It gains most on GPUs: on CPUs ONNX Runtime
    fuses much of this by itself while it loads a model.
    """

    draws: ClassVar[str | None] = "calibration"
    draws_if_given: ClassVar[bool] = True

    family: Literal["bert", "bart", "clip", "conformer", "gpt2", "t5", "vit"] = Field(
        "bert", description="Whose patterns are looked for; `bert` finds those of most encoders."
    )

    def run(self, source: Artifact, target: Path, job: Job) -> None:
        """Raises NothingPaid when nothing was fused or the fused model answers otherwise, ModelError when the fusions break."""
        from optkit.formats.onnx import load_model, save_model
        from optkit.formats.onnx_fuse import fuse
        from optkit.formats.onnx_simplify import simplify
        from optkit.quantization.fidelity.likeness import try_both

        job.progress("fusing", 0, 0)
        fused, gained = fuse(simplify(load_model(source.path)), self.family)
        if not gained:
            raise NothingPaid(
                "nothing to fuse: it has no attention, layer norm or GELU in a form that is known",
                where=str(source.path),
                hint="leave fuse_transformer out, or try another family",
            )
        save_model(fused, target)
        found = try_both(source.path, target, job.examples, threads=job.threads, seed=job.seed)
        if found.difference:
            raise NothingPaid(
                f"the fused model answers otherwise: {found.difference}",
                where=str(source.path),
                hint="leave fuse_transformer out, or give calibration examples if these made-up inputs are none that it would see",
            )
        job.note("fused", gained)
        job.note("checked on", found.on)
        job.note("runs on", "ONNX Runtime only: the fused operators are of its domain com.microsoft")
