"""From PyTorch to ONNX: what follows runs without PyTorch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from optkit.artifact import Artifact
from optkit.errors import DataError, ModelError
from optkit.passes import Job, Pass

if TYPE_CHECKING:
    from pathlib import Path

    from optkit.datasets import Array, Examples
    from optkit.formats.torch import TorchModel

CHECKED = 8
"""Examples that both are asked."""
BATCHES = (1, 2, 3)
"""Sizes of the batches they are asked in, where the batch may vary."""
CLOSE = 1e-3
"""Largest difference allowed, relative to the largest value of an output: float32 sums in another order differ by far less."""


class ExportOnnx(Pass):
    """Exports a PyTorch model to ONNX with sizes that vary, and checks the answers against PyTorch's at several of them."""

    takes: ClassVar[str] = "torch"
    gives: ClassVar[str] = "onnx"
    needs: ClassVar[tuple[str, ...]] = ("torch",)
    draws: ClassVar[str | None] = "calibration"
    draws_if_given: ClassVar[bool] = True

    opset: int = Field(20, ge=18, le=23, description="Version of the ONNX operators.")
    dynamic: dict[str, dict[int, str]] | None = Field(
        None, description="Axes that vary, by input: {tokens: {0: batch, 1: length}}. Default: those that the inputs name, else axis 0."
    )

    def run(self, source: Artifact, target: "Path", job: Job) -> None:
        """Raises ModelError where PyTorch cannot export it or ONNX Runtime answers otherwise, DataError where it needs real inputs."""
        from optkit.formats.torch import load_torch
        from optkit.formats.torch_export import export
        from optkit.passes._made_up import made_up_for
        from optkit.runtimes.torch import TorchSession

        model = load_torch(source.path)
        session = TorchSession(model.module, model.origin, "cpu", str(source.path))
        examples = job.examples if job.examples is not None else made_up_for(session, CHECKED, job.seed)
        examples = examples.spread(CHECKED)
        dynamic = self._dynamic(model, examples)
        job.progress("exporting", 0, 0)
        export(model, next(iter(examples.feeds(BATCHES[-1]))), dynamic, self.opset, target)
        job.note("checked on", self._check(session, target, examples, dynamic, job))
        job.note("axes that vary", {name: list(axes.values()) for name, axes in dynamic.items() if axes})

    def _dynamic(self, model: "TorchModel", examples: "Examples") -> Mapping[str, Mapping[int, str]]:
        names = list(examples.arrays)
        if self.dynamic is not None:
            for name in self.dynamic:
                if name not in names:
                    raise DataError(f"dynamic names {name!r}, which is no input", hint=f"inputs: {', '.join(names)}")
            return self.dynamic
        known = {each.name: each.shape for each in model.origin.inputs}
        default = () if examples.whole else ("batch",)
        return {name: {i: size for i, size in enumerate(known.get(name) or default) if isinstance(size, str)} for name in names}

    def _check(
        self, session: object, target: "Path", examples: "Examples", dynamic: Mapping[str, Mapping[int, str]], job: Job
    ) -> dict[str, float | int]:
        """Ask both the same, at several batch sizes where those vary; the largest difference, relative to the largest value."""
        from optkit.runtimes import open_session
        from optkit.runtimes.torch import TorchSession

        assert isinstance(session, TorchSession)
        exported = open_session(target, "cpu", job.threads)
        vary = not examples.whole and all(0 in axes for axes in dynamic.values()) and any(dynamic.values())
        worst, asked = 0.0, 0
        for batch in BATCHES if vary else (BATCHES[-1],):
            for feed in examples.feeds(batch):
                worst = max(worst, _difference(session.run(feed), exported.run(feed)))
                asked += 1
        if not worst <= CLOSE:
            raise ModelError(
                f"the exported model answers otherwise than PyTorch: {worst:.2g} of the largest value",
                hint="look for code in `forward` that depends on values, on training mode, or on chance",
            )
        return {"feeds": asked, "largest difference": float(f"{worst:.2g}")}


def _difference(before: "Mapping[str, Array]", after: "Mapping[str, Array]") -> float:
    found = 0.0
    for name, wanted in before.items():
        if name not in after or after[name].shape != wanted.shape:
            return float("inf")
        if wanted.size:
            a, b = np.asarray(wanted, np.float64), np.asarray(after[name], np.float64)
            with np.errstate(invalid="ignore"):
                apart = np.abs(a - b)[~(np.isnan(a) & np.isnan(b)) & (a != b)]
            found = max(found, float(np.max(apart, initial=0.0)) / max(float(np.abs(a[np.isfinite(a)]).max(initial=0.0)), 1e-12))
    return found
