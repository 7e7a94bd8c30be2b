"""Dynamic INT8: matrix products in integers, the range of each input read off as it comes."""

from typing import ClassVar, Literal

import onnx_ir as ir
from pydantic import Field

from optkit.errors import NothingPaid
from optkit.passes import Job, OnnxPass
from optkit.quantization.candidates import candidates
from optkit.quantization.choose import count_ways, refuse_hopeless
from optkit.quantization.instruction_sets import safe_on
from optkit.quantization.prepare import prepare
from optkit.quantization.treatment import Learned, build


class QuantizeDynamic(OnnxPass):
    """Dynamic INT8 of matrix products (not of convolutions, which it makes slower); needs no data. Measures nothing; `quantize` does."""

    revision: ClassVar[int] = 3

    exclude: tuple[str, ...] = Field((), description="Nodes to leave in float: patterns of names or operators, such as */head/* or Gemm.")
    target: Literal["portable", "native"] = Field(
        "portable",
        description="portable: the same answers on every CPU; native: no weight held back; x86 CPUs without VNNI answer differently.",
    )

    def edit(self, model: ir.Model, job: Job) -> ir.Model:
        refuse_hopeless(model)
        prepared = prepare(model)
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
