"""Weights and arithmetic in float16: half the size, and faster where a GPU has much to multiply. Or weights in bfloat16: half the size."""

import platform
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from optkit.artifact import Artifact
from optkit.errors import NothingPaid
from optkit.passes import Job, Pass
from optkit.passes._parameters import AcceptSizeOnly

if TYPE_CHECKING:
    from optkit.quantization.half.halving import Halved
    from optkit.quantization.half.nearness import Nearness

LARGEST_SHARE = 0.98
"""Of the original's size: what shrinks less is not worth other numbers."""
SLOW_ON = frozenset({"x86_64", "amd64", "i386", "i686"})
SLOW = (
    "smaller, but not faster on this CPU: ONNX Runtime converts float16 to float32 and computes with that; "
    "--device cuda measures it on a GPU with float16 arithmetic"
)


class CastHalf(Pass):
    """Weights and arithmetic become float16; what float16 cannot hold or would blur stays float32, as do inputs and outputs.

    `bfloat16` has float32's range, so that nothing overflows: weights are stored in it, and become float32 when the model loads.
    Calibration examples show which values leave float16's range; without them made-up inputs stand in. On a device other than the CPU
    the result is timed there beside the original.
    """

    draws: ClassVar[str | None] = "calibration"
    draws_if_given: ClassVar[bool] = True
    revision: ClassVar[int] = 4

    type: Literal["float16", "bfloat16"] = Field("float16", description="Of weights and arithmetic; with bfloat16 of weights only.")
    io: Literal["float", "half"] = Field("float", description="Type of floating-point inputs and outputs: as they are, or float16 too.")
    keep: tuple[str, ...] = Field((), description="Operators that stay float32, such as Softmax.")
    least_sqnr: float = Field(
        20.0, ge=0, le=100, description="Signal-to-noise ratio in dB that every output must reach against the original."
    )
    accept_size_only: AcceptSizeOnly = False
    examples: int = Field(32, ge=1, le=10_000, description="Number of calibration examples, evenly spread, that are looked at.")

    def run(self, source: Artifact, target: Path, job: Job) -> None:
        """Raises NothingPaid when hardly anything can be float16 or the answers suffer, ModelError when the runtime refuses the result."""
        from optkit.formats.onnx import load_model
        from optkit.formats.onnx_simplify import simplify
        from optkit.quantization.half.halving import prepare_halving

        if self.type == "bfloat16":
            self._store(source, target, job)
            return
        halving = prepare_halving(
            simplify(load_model(source.path)),
            source.path,
            job.examples,
            count=self.examples,
            keep=frozenset(self.keep),
            ports_too=self.io == "half",
            threads=job.threads,
            seed=job.seed,
            progress=job.progress,
        )
        halved = halving.write(target)
        self._check_size(source, target)
        halved = halving.improve(halved, target)
        self._check_answers(halved.near, source)
        _tell(halved, halving.answers.asked, job)
        self._check_speed(source, target, job)

    def _store(self, source: Artifact, target: Path, job: Job) -> None:
        from optkit.formats.onnx import load_model
        from optkit.quantization.half.storage import store_checked

        stored = store_checked(
            load_model(source.path), source.path, target, job.examples, self.examples, job.threads, job.seed, job.progress
        )
        self._check_size(source, target)
        self._check_answers(stored.near, source)
        job.note("bfloat16 weights", stored.count)
        _tell_near(stored.near, stored.tried_on, job)
        job.note(
            "speed",
            "smaller in the file only: ONNX Runtime computes next to nothing in bfloat16 on CPUs, so weights become float32 when it loads; "
            "speed and memory stay",
        )

    def _check_speed(self, source: Artifact, target: Path, job: Job) -> None:
        from optkit.passes._device_speed import device_speed, note_speed, refuse_slow

        if job.device == "cpu":
            if platform.machine().lower() in SLOW_ON:
                job.note("speed", SLOW)
        elif (speed := device_speed(source.path, target, job)) is not None:
            if not self.accept_size_only:
                refuse_slow(speed, source, self.type, job.device)
            note_speed(speed, job)

    def _check_size(self, source: Artifact, target: Path) -> None:
        from optkit.formats.onnx import model_size

        share = model_size(target) / model_size(source.path)
        if share > LARGEST_SHARE:
            why = f"nothing worth casting: {self.type} leaves {share:.1%} of its size"
            raise NothingPaid(why, where=str(source.path), hint=f"{self.type} halves float32 weights, of which this model has few")

    def _check_answers(self, near: "Nearness", source: Artifact) -> None:
        if near.worst < self.least_sqnr:
            hint = "leave cast_half out" + (", or name operators that stay float32 (keep)" if self.type == "float16" else "")
            raise NothingPaid(f"{self.type} changes the answers too much: {_show(near.sqnr)}", where=str(source.path), hint=hint)


def _tell(halved: "Halved", tried_on: str, job: Job) -> None:
    job.note("float16 nodes", len(halved.plan.slots))
    if halved.kept:
        job.note("kept in float32", halved.kept)
    if halved.plan.out_of_range:
        job.note("out of float16's range", sorted(halved.plan.out_of_range)[:20])
    _tell_near(halved.near, tried_on, job)


def _tell_near(near: "Nearness", tried_on: str, job: Job) -> None:
    job.note("checked on", tried_on)
    if near.sqnr:
        job.note("sqnr", {name: round(value, 1) for name, value in near.sqnr.items()})
    if near.agreement:
        job.note("agreement", {name: round(value, 4) for name, value in near.agreement.items()})


def _show(sqnr: dict[str, float]) -> str:
    name, value = min(sqnr.items(), key=lambda item: item[1])
    return f"output {name!r} holds NaN or infinity" if value == float("-inf") else f"output {name!r} has {value:.1f} dB signal to noise"
