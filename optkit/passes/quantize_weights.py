"""Weights in 4 or 8 bits, in groups: a smaller file and less memory, with arithmetic that stays close to float."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from optkit.artifact import Artifact
from optkit.passes import Job, Pass
from optkit.passes._chosen import note_choice
from optkit.passes._drop import drop_asked_for
from optkit.passes._judging import learned_and_judged
from optkit.passes._parameters import (
    AcceptSizeOnly,
    CalibrationMemory,
    CalibrationSamples,
    DropMetric,
    GroupSize,
    MaxDrop,
    MinSqnr,
    Symmetric,
)
from optkit.quantization.blocks.algorithms import NAMES
from optkit.quantization.choosing_blocks.choose import Asked, Choice, choose
from optkit.quantization.choosing_blocks.trial import Trial, bits_text
from optkit.quantization.integer_graph.instruction_sets import safe_on
from optkit.quantization.variants.wishes import Setting, Wishes


class QuantizeWeights(Pass):
    """Weights of matrix products and embedding tables in 4 or 8 bits, each group with a scale: for size and memory rather than speed.

    They stay so in memory (MatMulNBits, GatherBlockQuantized), or, where that would be slower, in the file only.
    """

    revision: ClassVar[int] = 2
    draws: ClassVar[str | None] = "calibration"
    draws_if_given: ClassVar[bool] = True

    bits: Literal[4, 8, "mixed"] = Field("mixed", description="Of a weight; mixed: 4, and 8 for those that need it to keep the fidelity.")
    group_size: GroupSize = 32
    symmetric: Symmetric = False
    algorithm: Literal["auto", "rtn", "hqq", "gptq"] = Field(
        "auto",
        description="How 4-bit weights are rounded: to nearest, HQQ or, with data, GPTQ; auto takes the most faithful.",
    )
    embeddings: bool = Field(True, description="Embedding tables too.")
    form: Literal["auto", "packed", "stored"] = Field(
        "auto", description="packed stays small in memory, stored in the file only; auto takes packed unless it is slower than float."
    )
    exclude: tuple[str, ...] = Field((), description="Nodes to leave in float: patterns of names or operators, such as */head/* or Gather.")
    samples: CalibrationSamples = 128
    max_memory: CalibrationMemory = None
    min_sqnr: MinSqnr = None
    max_drop: MaxDrop = None
    metric: DropMetric = None
    accept_size_only: AcceptSizeOnly = False

    def run(self, source: Artifact, target: Path, job: Job) -> None:
        """Raises NothingPaid when nothing can be held in groups, or nothing that is faithful is smaller and no slower."""
        from optkit.formats.onnx import load_model
        from optkit.formats.onnx_simplify import free_constant_inputs

        model = load_model(source.path)
        free_constant_inputs(model)
        calibration, judging = learned_and_judged(source, job, self.samples)
        asked = Asked(self.bits, self.group_size, self.symmetric, self.algorithm, self.embeddings, self.form)
        setting = Setting(job.device, job.threads, job.seed, job.progress, self.max_memory)
        wishes = Wishes(
            exclude=self.exclude,
            floor=self.min_sqnr,
            max_drop=self.max_drop,
            drop_of=drop_asked_for(source, job, self.max_drop, self.metric),
            accept_size_only=self.accept_size_only,
        )
        choice = choose(source.path, model, calibration, judging, asked, wishes, setting, target)
        job.note("safe_on", list(safe_on(load_model(target))))
        job.note("algorithm", choice.best.rounded.algorithm)
        job.note("how", _how(choice, asked))
        job.note("speed", _speed(choice.best))
        note_choice(job, choice, real=calibration is not None)
        job.note("measured_algorithms", {t.rounded.algorithm: t.fidelity.sqnr for t in choice.rounded})


def _how(choice: Choice, asked: Asked) -> str:
    best = choice.best
    counts = [f"{count} {operator} ({bits})" for operator, ways in choice.operators.items() for bits, count in sorted(ways.items())]
    signs = "symmetric" if asked.symmetric else "with zero points"
    others = "; other large weights are stored in 8 bits" if best.others else ""
    return f"{bits_text(best.rounded)} in groups of {asked.size}, {signs}, by {NAMES[best.rounded.algorithm]}: {', '.join(counts)}{others}"


def _speed(best: Trial) -> str:
    if best.form == "stored":
        return (
            "small in the file only: weights become floats when it loads, since in groups they would be slower here; speed and memory stay"
        )
    return "for size and memory: weights stay in groups while it runs (MatMulNBits); that is faster only where few rows come at a time"
