"""Dynamic INT8: matrix products in integers, the range of each input read off as it comes."""

from typing import ClassVar

import onnx_ir as ir

from optkit.errors import NothingPaid
from optkit.passes import Job, OnnxPass
from optkit.passes._parameters import NodesInFloat, Target
from optkit.passes._patterns import check_patterns
from optkit.quantization.choosing.hopeless import refuse_hopeless
from optkit.quantization.float_graph.checked import prepare_tried
from optkit.quantization.integer_graph.instruction_sets import safe_on
from optkit.quantization.variants.build import build
from optkit.quantization.variants.candidates import candidates
from optkit.quantization.variants.learned import Learned
from optkit.quantization.variants.treatment import count_ways


class QuantizeDynamic(OnnxPass):
    """Dynamic INT8 of matrix products (not of convolutions, which it makes slower); needs no data. Measures nothing; `quantize` does."""

    revision: ClassVar[int] = 8

    exclude: NodesInFloat = ()
    target: Target = "portable"

    def edit(self, model: ir.Model, job: Job) -> ir.Model:
        refuse_hopeless(model)
        check_patterns(model, self.exclude)
        prepared = prepare_tried(model, None, job.device, job.threads, job.seed)
        found = candidates(prepared.model, "dynamic", False, self.exclude, self.target == "portable")
        if not found:
            raise NothingPaid(
                "no matrix product with float weights is left to quantize", hint="convolutions need quantize_static and calibration data"
            )
        job.note("operators", count_ways(prepared.model, found[0]))
        job.note("remarks", list(prepared.remarks))
        made = build(prepared.model, found[0], Learned())
        job.note("safe_on", list(safe_on(made)))
        return made
