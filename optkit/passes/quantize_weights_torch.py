"""Neural Compressor's GPTQ, AWQ and AutoRound for networks of transformers, run by ONNX Runtime with exactly the integers they chose."""

import copy
import tempfile
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from optkit.artifact import Artifact
from optkit.errors import NothingPaid
from optkit.passes import Job, Pass
from optkit.passes._parameters import CalibrationSamples, DynamicAxes, GroupSize, MinSqnr, Opset, Symmetric

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

    from optkit.datasets import Examples
    from optkit.formats.torch import TorchModel
    from optkit.quantization.blocks.absorbed import Calibrate
    from optkit.quantization.blocks.blocked import Blocked

CHECKED = 8
"""Examples on which both forms of the quantized model are asked the same."""
TOGETHER = 8
"""Calibration examples that the library is shown at a time."""


class QuantizeWeightsTorch(Pass):
    """Weights of a PyTorch network in 4 or 8 bits by neural-compressor's GPTQ, AWQ, AutoRound or rounding, exported to ONNX.

    The Linear layers become MatMulNBits with the integers, scales and zero points that the library chose, which is verified.
    """

    takes: ClassVar[str] = "torch"
    gives: ClassVar[str] = "onnx"
    needs: ClassVar[tuple[str, ...]] = ("torch", "llm")
    draws: ClassVar[str | None] = "calibration"

    algorithm: Literal["rtn", "gptq", "awq", "auto_round"] = Field(
        "gptq", description="How weights are rounded: to nearest, GPTQ, AWQ, or AutoRound (pip install auto-round)."
    )
    bits: Literal[4, 8] = Field(4, description="Of a weight.")
    group_size: GroupSize = 32
    symmetric: Symmetric = False
    rounds: int = Field(200, ge=1, description="Of AutoRound's training, for each block.")
    exclude: tuple[str, ...] = Field((), description="Layers to leave in float: patterns of names, such as *.lm_head or *.0.*.")
    activations: Literal["auto", "float", "int8"] = Field(
        "auto",
        description="What weights meet: float, as the algorithm takes them, or, faster, int8 in groups of their own; "
        "auto takes int8 for 8-bit weights, which are slow with float.",
    )
    samples: CalibrationSamples = 128
    min_sqnr: MinSqnr = None
    opset: Opset = 20
    dynamic: DynamicAxes = None
    with_past: bool = Field(False, description="A decoder with its key-value cache, as export_onnx has it.")

    def run(self, source: Artifact, target: Path, job: Job) -> None:
        """Raises MissingLibrary before any work, ModelError where algorithm or exporter fail, NothingPaid where it does not pay."""
        from optkit.formats.torch import TorchModel, load_torch
        from optkit.formats.torch_export import without_cache
        from optkit.passes._judging import split
        from optkit.quantization.blocks.neural_compressor import Asked, load_library, quantize_layers

        assert job.examples is not None, "the runner gives what a pass draws"
        load_library(self.algorithm, "quantize_weights_torch")
        model = load_torch(source.path)
        calibration, judging = split(job.examples, self.samples)
        asked = Asked(self.algorithm, self.bits, self.group_size, self.symmetric, self.exclude, self.rounds)
        job.progress("rounding weights", 0, 0)
        module = copy.deepcopy(model.module)
        with without_cache(module):
            made, layers = quantize_layers(module, asked, _shows(model, calibration, job))
        if not layers:
            raise NothingPaid("no Linear layer was quantized", hint="layers from 4,096 weights on can be, if `exclude` does not name them")
        rounded = TorchModel(made.eval(), model.origin)
        self._write(model, rounded, layers, judging, target, job)
        _check_size(source.path, target)
        job.note("algorithm", self.algorithm)
        job.note("calibrated_on", 0 if self.algorithm == "rtn" else len(calibration))
        job.note("quantized", len(layers))
        job.note("how", self._how(len(layers)))

    def _write(
        self, model: "TorchModel", rounded: "TorchModel", layers: "Mapping[str, Blocked]", judging: "Examples", target: Path, job: Job
    ) -> None:
        """Export, put the integers in, hold them against what they stand for, and the result against the original."""
        from optkit.formats.onnx import load_model, save_model
        from optkit.passes._exporting import axes_that_vary, check, decoder_text, write
        from optkit.quantization.blocks.insert_packed import FLOAT_ACTIVATIONS, INT8_ACTIVATIONS
        from optkit.quantization.blocks.take_over import take_over

        asked = (decoder_text(model, judging, job.seed) if self.with_past else judging).spread(CHECKED)
        dynamic = {} if self.with_past else axes_that_vary(model, asked, self.dynamic)
        with tempfile.TemporaryDirectory(prefix="optkit-") as folder:
            floats = Path(folder) / "floats.onnx"
            write(rounded, asked, dynamic, self.opset, self.with_past, floats, job)
            graph = load_model(floats)
            made, _ = take_over(graph, layers, FLOAT_ACTIVATIONS)
            save_model(made, target)
            job.progress("checking the integers", 0, 0)
            job.note("checked on", check(rounded, asked, dynamic, self.with_past, target, job))
            if self.activations == "int8" or (self.activations == "auto" and self.bits == 8):
                made, _ = take_over(graph, layers, INT8_ACTIVATIONS)
                save_model(made, target)
        self._judge(model, made, judging, target, job)

    def _judge(self, model: "TorchModel", made: "ir.Model", judging: "Examples", target: Path, job: Job) -> None:
        """Note how faithful the result is. Raises NothingPaid where it loses too much."""
        from optkit.quantization.fidelity.reference import Reference
        from optkit.quantization.fidelity.room import room, shortfall
        from optkit.runtimes import open_session
        from optkit.runtimes.torch import TorchSession

        judged = made.clone()
        for output in [each for each in judged.graph.outputs if str(each.name).startswith("present.")]:
            judged.graph.outputs.remove(output)
        session = TorchSession(model.module, model.origin, "cpu", "the original")
        fidelity = Reference(judged, session, list(judging.feeds(1))).compare(open_session(target, job.device, job.threads))
        job.note("measured_sqnr", fidelity.sqnr)
        job.note("measured_agreement", fidelity.agreement)
        job.note("measured_cost", fidelity.cost)
        if not fidelity.finite or not fidelity.varies or room(fidelity, self.min_sqnr) < 0:
            raise NothingPaid(
                f"{self.bits}-bit weights lose too much here: {shortfall(fidelity, self.min_sqnr)}",
                hint="take smaller groups with group_size, exclude layers, take bits: 8, or set the noise allowed with min_sqnr",
            )

    def _how(self, layers: int) -> str:
        from optkit.quantization.blocks.neural_compressor import NAMES

        signs = "symmetric" if self.symmetric else "with zero points"
        by = f"neural-compressor's {NAMES[self.algorithm]}"
        return f"{layers} Linear layers in {self.bits} bits in groups of {self.group_size}, {signs}, by {by}"


def _shows(model: "TorchModel", examples: "Examples", job: Job) -> "Calibrate":
    """Shows the examples to a network, as a session would."""
    import torch

    from optkit.runtimes.torch import ports_of

    wanted = [port.name for port in ports_of(model.module, model.origin)]

    def calibrate(module: "torch.nn.Module", most: int | None = None) -> None:
        with torch.no_grad():
            for done, feed in enumerate(islice(examples.feeds(TOGETHER), most)):
                job.progress("calibrating", done * TOGETHER, len(examples))
                given = {name: torch.from_numpy(array) for name, array in feed.items()}
                if set(given) != set(wanted) and len(given) == 1 == len(wanted):
                    module(*given.values())
                else:
                    module(**given)

    return calibrate


def _check_size(source: Path, target: Path) -> None:
    from optkit.formats.onnx import model_size
    from optkit.units import show_bytes

    before, after = source.stat().st_size, model_size(target)
    if after >= before:
        what = f"the result is no smaller: {show_bytes(after)}, {show_bytes(before)} before"
        raise NothingPaid(what, hint="most weights are in layers that were left in float")
