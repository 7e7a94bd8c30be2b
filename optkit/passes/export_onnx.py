"""From PyTorch to ONNX: what follows runs without PyTorch."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from optkit.artifact import Artifact
from optkit.errors import UsageError
from optkit.passes import Job, Pass
from optkit.passes._parameters import DynamicAxes, Opset

CHECKED = 8
"""Examples that both are asked."""


class ExportOnnx(Pass):
    """Exports a PyTorch model to ONNX with sizes that vary, and checks the answers against PyTorch's at several of them."""

    takes: ClassVar[str] = "torch"
    gives: ClassVar[str] = "onnx"
    needs: ClassVar[tuple[str, ...]] = ("torch",)
    draws: ClassVar[str | None] = "calibration"
    draws_if_given: ClassVar[bool] = True

    opset: Opset = 20
    dynamic: DynamicAxes = None
    with_past: bool = Field(
        False,
        description="A decoder of transformers with its key-value cache as inputs past_key_values.N.key, .value and outputs present.N.…",
    )

    def run(self, source: Artifact, target: Path, job: Job) -> None:
        """Raises ModelError where PyTorch cannot export it or ONNX Runtime answers otherwise, DataError where it needs real inputs."""
        from optkit.formats.torch import load_torch
        from optkit.passes._exporting import axes_that_vary, check, decoder_text, write
        from optkit.passes._made_up import made_up_for
        from optkit.runtimes.torch import TorchSession

        model = load_torch(source.path)
        if self.dynamic is not None and not model.origin.factory:
            hint = "leave dynamic out, or give dynamic_shapes to torch.export.export"
            raise UsageError("dynamic: which sizes of an exported program vary was decided when it was traced", hint=hint)
        examples = job.examples
        if self.with_past:
            examples = decoder_text(model, examples, job.seed)
        elif examples is None:
            examples = made_up_for(TorchSession(model.module, model.origin, "cpu", str(source.path)), CHECKED, job.seed)
        examples = examples.spread(CHECKED)
        dynamic = {} if self.with_past else axes_that_vary(model, examples, self.dynamic)
        write(model, examples, dynamic, self.opset, self.with_past, target, job)
        job.note("checked on", check(model, examples, dynamic, self.with_past, target, job))
