"""INT8 where it pays: several variants are built, measured and compared, and the best is taken."""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from optkit.artifact import Artifact
from optkit.datasets import Examples
from optkit.errors import DataError
from optkit.passes import Job, Pass
from optkit.passes._drop import drop_against
from optkit.passes._made_up import made_up_for
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
from optkit.quantization.calibration_note import NOTE, calibration_note
from optkit.quantization.choose import Choice
from optkit.quantization.instruction_sets import safe_on
from optkit.quantization.trial import Trial
from optkit.quantization.wishes import Setting, Wishes
from optkit.runtimes import Session, open_session


class Quantize(Pass):
    """INT8 by the method that pays: static, dynamic, mixed or 8-bit storage, whichever is fastest and faithful; exit 1 if none is."""

    revision: ClassVar[int] = 9
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
        from optkit.formats.onnx import load_model, model_size
        from optkit.formats.onnx_simplify import free_constant_inputs
        from optkit.quantization.choose import choose, refuse_hopeless

        model = load_model(source.path)
        free_constant_inputs(model)
        refuse_hopeless(model)
        if job.examples is not None and not job.examples.synthetic:
            judged = JUDGED if model_size(source.path) < LARGE else HELD_OUT
            calibration, judging = split(job.examples, self.samples, judged)
        else:
            calibration, judging = None, made_up_for(open_session(source.path, job.device, job.threads), HELD_OUT, job.seed)
        wishes = Wishes(
            self.method,
            self.ranges,
            self.exclude,
            self.min_sqnr,
            self.max_drop,
            self._drop(source, job),
            self.accept_size_only,
            portable=self.target == "portable",
            effort=self.effort,
        )
        setting = Setting(job.device, job.threads, job.seed, job.progress, self.max_memory)
        choice = choose(source.path, model, calibration, judging, wishes, setting, target)
        made = load_model(target)
        job.note("safe_on", list(safe_on(made)))
        if calibration is not None and (seen := calibration_note(made, calibration, job.threads, self.max_memory)):
            job.note(NOTE, seen)
        _note(job, choice, calibration is not None)

    def _drop(self, source: Artifact, job: Job) -> Callable[[Session], float] | None:
        if self.max_drop is None:
            return None
        if job.examples is None or job.examples.synthetic:
            raise DataError("a limit on the drop needs labelled examples", hint="pass --data with an array `labels`")
        return drop_against(open_session(source.path, job.device, job.threads), job.examples, self.metric)


HELD_OUT = 16
"""Examples that fidelity and time are judged on, and nothing is calibrated on."""
JUDGED = 48
"""Examples that fidelity is judged on in all, of a model that is not large: few answers change, so it takes many to tell how many."""
LARGE = 100 << 20
"""Bytes."""
ENOUGH_TO_SPLIT = 3 * HELD_OUT


def split(examples: Examples, samples: int, judged: int = HELD_OUT) -> tuple[Examples, Examples]:
    """Examples to calibrate on and others to judge on, held-out ones first; where there are few, all serve for both."""
    if len(examples) < ENOUGH_TO_SPLIT:
        return examples.spread(samples), examples.spread(judged)
    held_out = np.linspace(0, len(examples) - 1, HELD_OUT).round().astype(np.int64)
    rest = np.setdiff1d(np.arange(len(examples)), held_out)
    more = rest[np.linspace(0, len(rest) - 1, max(0, min(judged - HELD_OUT, len(rest)))).round().astype(np.int64)]
    return examples.take(rest).spread(samples), examples.take(np.concatenate([held_out, more]))


def _note(job: Job, choice: Choice, real: bool) -> None:
    best = choice.best
    job.note("method", best.treatment.name)
    job.note("operators", choice.operators)
    job.note("calibrated_on", choice.calibrated_on)
    job.note("remarks", list(choice.remarks))
    job.note("judged_on", "real examples" if real else "made-up inputs")
    job.note("measured_ratio", [best.ratio.value, best.ratio.low, best.ratio.high] if best.ratio else None)
    job.note("measured_sqnr", best.fidelity.sqnr)
    job.note("measured_agreement", best.fidelity.agreement)
    job.note("measured_cost", best.fidelity.cost)
    job.note("measured_high_scores", best.fidelity.high_scores)
    if best.drop is not None:
        job.note("measured_drop", best.drop)
    job.note("measured_trials", [_trial(t) for t in choice.trials])
    job.note("measured_failures", choice.failures)


def _trial(trial: Trial) -> dict[str, object]:
    ratio = trial.ratio
    return {
        "method": trial.treatment.name,
        "time": None if ratio is None else [ratio.value, ratio.low, ratio.high],
        "size": trial.size,
        "sqnr": trial.fidelity.sqnr,
        "agreement": trial.fidelity.agreement,
    }
