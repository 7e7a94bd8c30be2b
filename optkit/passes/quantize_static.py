"""Static INT8: activation ranges from calibration examples, Q/DQ pairs where ONNX Runtime fuses them."""

from typing import ClassVar

import onnx_ir as ir

from optkit.errors import DataError, NothingPaid
from optkit.passes import Job, OnnxPass
from optkit.passes._parameters import CalibrationMemory, CalibrationSamples, NodesInFloat, Ranges, Regions, Target
from optkit.passes._patterns import check_patterns
from optkit.quantization.calibration.note import NOTE, calibration_note
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.choosing.hopeless import refuse_hopeless
from optkit.quantization.float_graph.checked import prepare_tried
from optkit.quantization.integer_graph.instruction_sets import safe_on
from optkit.quantization.variants.build import build
from optkit.quantization.variants.calibrate import calibrate, within_reach
from optkit.quantization.variants.candidates import candidates
from optkit.quantization.variants.treatment import count_ways


class QuantizeStatic(OnnxPass):
    """Static INT8 (Q/DQ): uint8 activations with calibrated ranges, int8 weights per channel. Measures nothing; `quantize` does."""

    revision: ClassVar[int] = 22
    draws: ClassVar[str | None] = "calibration"

    ranges: Ranges = "auto"
    max_memory: CalibrationMemory = None
    samples: CalibrationSamples = 128
    exclude: NodesInFloat = ()
    target: Target = "portable"
    regions: Regions = True

    def edit(self, model: ir.Model, job: Job) -> ir.Model:
        refuse_hopeless(model)
        check_patterns(model, self.exclude)
        if job.examples is None or job.examples.synthetic:
            raise DataError("activation ranges need real examples", hint="pass --data examples.npz: one array for each model input")
        prepared = prepare_tried(model, job.examples, job.device, job.threads, job.seed)
        found = candidates(prepared.model, "static", True, self.exclude, self.target == "portable")
        if not found:
            raise NothingPaid(
                "no convolution or matrix product with float weights is left to quantize", hint="optkit inspect MODEL shows what is inside"
            )
        treatment = found[0] if self.regions else found[-1]
        watcher = Watcher(job.examples.spread(self.samples), job.threads, self.max_memory, job.progress)
        learned = calibrate(prepared.model, [treatment], watcher, self.ranges)
        treatment = within_reach(prepared.model, treatment, learned)
        job.note("operators", count_ways(prepared.model, treatment))
        job.note("remarks", [*prepared.remarks, *learned.of_ranges, *learned.remarks])
        made = build(prepared.model, treatment, learned)
        job.note("safe_on", list(safe_on(made)))
        if seen := calibration_note(made, watcher):
            job.note(NOTE, seen)
        return made
