"""INT8 where it pays: several variants are built, measured and compared, and the best is taken."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from optkit.artifact import Artifact
from optkit.passes import Job, Pass
from optkit.passes._chosen import note_choice
from optkit.passes._drop import drop_asked_for
from optkit.passes._judging import judged_of, learned_and_judged, never_learned
from optkit.passes._made_up import made_up_ids
from optkit.passes._parameters import (
    AcceptSizeOnly,
    CalibrationMemory,
    CalibrationSamples,
    DropMetric,
    MaxDrop,
    MinSqnr,
    NodesInFloat,
    Ranges,
    Target,
)
from optkit.passes._patterns import check_patterns
from optkit.quantization.calibration.note import NOTE, calibration_note
from optkit.quantization.integer_graph.instruction_sets import safe_on
from optkit.quantization.variants.wishes import Setting, Wishes


class Quantize(Pass):
    """INT8 by the method that pays: static, dynamic, mixed or 8-bit storage, whichever is fastest and faithful; exit 1 if none is."""

    revision: ClassVar[int] = 35
    draws: ClassVar[str | None] = "calibration"
    draws_if_given: ClassVar[bool] = True

    method: Literal["auto", "static", "dynamic", "weights"] = Field("auto", description="Variants to consider; auto considers all.")
    ranges: Ranges = "auto"
    max_memory: CalibrationMemory = None
    samples: CalibrationSamples = 128
    exclude: NodesInFloat = ()
    min_sqnr: MinSqnr = None
    max_drop: MaxDrop = None
    metric: DropMetric = None
    accept_size_only: AcceptSizeOnly = False
    target: Target = "portable"

    effort: Literal["normal", "high"] = Field(
        "normal", description="high: fit ranges, divisions and the rounding of each weight to the outputs; minutes rather than seconds."
    )

    def run(self, source: Artifact, target: Path, job: Job) -> None:
        from optkit.formats.onnx import load_model
        from optkit.formats.onnx_simplify import free_constant_inputs
        from optkit.quantization.choosing.choose import choose
        from optkit.quantization.choosing.hopeless import refuse_hopeless

        model = load_model(source.path)
        free_constant_inputs(model)
        refuse_hopeless(model)
        check_patterns(model, self.exclude)
        calibration, judging = learned_and_judged(source, job, self.samples, judged_of(source.path))
        wishes = Wishes(
            self.method,
            self.ranges,
            self.exclude,
            self.min_sqnr,
            self.max_drop,
            drop_asked_for(source, job, self.max_drop, self.metric),
            self.accept_size_only,
            portable=self.target == "portable",
            effort=self.effort,
            real=calibration is not None,
        )
        setting = Setting(job.device, job.threads, job.seed, job.progress, self.max_memory)
        made_up = made_up_ids(source.path, job) if calibration is None else None
        unseen = never_learned(job.examples)
        choice = choose(source.path, model, calibration, judging, wishes, setting, target, made_up=made_up, unseen=unseen)
        made = load_model(target)
        job.note("safe_on", list(safe_on(made)))
        if calibration is not None and (seen := calibration_note(made, setting.watcher(calibration))):
            job.note(NOTE, seen)
        note_choice(job, choice, real=calibration is not None)
        job.note("widened", choice.widened)
        job.note("measured_remarks", list(choice.measured))
