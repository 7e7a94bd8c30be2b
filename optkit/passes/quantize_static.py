"""Static INT8: activation ranges from calibration examples, Q/DQ pairs where ONNX Runtime fuses them."""

from typing import ClassVar, Literal

import onnx_ir as ir
from pydantic import Field

from optkit.errors import DataError, NothingPaid
from optkit.passes import Job, OnnxPass
from optkit.passes._bytes import Bytes
from optkit.quantization.calibrate import calibrate, within_reach
from optkit.quantization.calibration_note import NOTE, calibration_note
from optkit.quantization.candidates import candidates
from optkit.quantization.choose import count_ways, refuse_hopeless
from optkit.quantization.instruction_sets import safe_on
from optkit.quantization.prepare import prepare
from optkit.quantization.treatment import build
from optkit.quantization.wishes import Setting


class QuantizeStatic(OnnxPass):
    """Static INT8 (Q/DQ): uint8 activations with calibrated ranges, int8 weights per channel. Measures nothing; `quantize` does."""

    revision: ClassVar[int] = 6
    draws: ClassVar[str | None] = "calibration"

    ranges: Literal["auto", "mse", "min_max", "percentile", "entropy"] = Field(
        "auto", description="How activation ranges follow from what was seen; auto takes what has the least error for each tensor."
    )
    max_memory: Bytes | None = Field(None, ge=1, description="Most memory to occupy while calibrating, such as 2GB; None sets no limit.")
    samples: int = Field(128, ge=1, description="Calibration examples to use at most, evenly spaced.")
    exclude: tuple[str, ...] = Field((), description="Nodes to leave in float: patterns of names or operators, such as */head/* or Gemm.")
    target: Literal["portable", "native"] = Field(
        "portable",
        description="portable: the same answers on every CPU; native: no weight held back; x86 CPUs without VNNI answer differently.",
    )
    regions: bool = Field(True, description="Keep additions, pooling and the like between quantized layers in INT8 too.")

    def edit(self, model: ir.Model, job: Job) -> ir.Model:
        refuse_hopeless(model)
        prepared = prepare(model)
        found = candidates(prepared.model, "static", True, self.exclude, self.target == "portable")
        if not found:
            raise NothingPaid(
                "no convolution or matrix product with float weights is left to quantize", hint="optkit inspect MODEL shows what is inside"
            )
        treatment = found[0] if self.regions else found[-1]
        if job.examples is None or job.examples.synthetic:
            raise DataError("activation ranges need real examples", hint="pass --data examples.npz: one array for each model input")
        setting = Setting(job.device, job.threads, job.seed, job.progress, self.max_memory)
        learned = calibrate(prepared.model, [treatment], job.examples.spread(self.samples), self.ranges, setting)
        treatment = within_reach(prepared.model, treatment, learned)
        job.note("operators", count_ways(prepared.model, treatment))
        job.note("remarks", [*prepared.remarks, *learned.remarks])
        made = build(prepared.model, treatment, learned)
        job.note("safe_on", list(safe_on(made)))
        if seen := calibration_note(made, job.examples.spread(self.samples), job.threads, self.max_memory):
            job.note(NOTE, seen)
        return made
