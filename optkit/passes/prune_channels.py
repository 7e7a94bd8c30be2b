"""Fewer channels and attention heads: the only pruning that makes a model faster on every runtime."""

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from optkit.artifact import Artifact
from optkit.errors import UsageError
from optkit.passes import Job, Pass
from optkit.passes._written import Share

TARGETS = ("macs", "parameters", "latency")


class PruneChannels(Pass):
    """Takes whole channels and attention heads out, with everything that hangs on them: smaller and faster on every runtime.

    A PyTorch model stays the same code and can be trained on, which it should be (finetune, distill). In an ONNX model channels are chosen
    by what calibration examples show, and the weights that stay are solved again by least squares: no training, no PyTorch.
    """

    revision: ClassVar[int] = 4
    takes: ClassVar[str | tuple[str, ...]] = ("torch", "onnx")
    draws: ClassVar[str | tuple[str, ...] | None] = ("calibration", "training")
    draws_if_given: ClassVar[bool] = True

    ratio: Share | None = Field(None, gt=0, lt=1, description="Share of the channels to take out. Default: 0.5, where no target is given.")
    macs: Share | None = Field(None, gt=0, lt=1, description="Share of the multiplications that may stay; in place of ratio.")
    parameters: Share | None = Field(None, gt=0, lt=1, description="Share of the parameters that may stay; in place of ratio.")
    latency: Share | None = Field(None, gt=0, lt=1, description="Share of the time that it may still take, measured; in place of ratio.")
    scope: Literal["global", "layer"] = Field(
        "global", description="global: all layers compete, each keeps a tenth; layer: the same share of each."
    )
    importance: Literal["auto", "magnitude", "least_squares", "taylor", "batch_norm_scale"] = Field(
        "auto",
        description="What stays. magnitude: the largest weights; ONNX: least_squares (auto), what the others cannot make up for; PyTorch: "
        "taylor, what the loss depends on most (needs labelled examples), batch_norm_scale; auto: magnitude.",
    )
    round_to: int = Field(8, ge=1, le=1024, description="Channels that stay are a multiple of this, as hardware likes it; heads are not.")
    exclude: tuple[str, ...] = Field((), description="Layers that stay whole: patterns of names or kinds, such as blocks.0.* or Linear.")

    @model_validator(mode="after")
    def _one_wish(self) -> Self:
        given = [name for name in ("ratio", *TARGETS) if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} exclude each other: give one")
        return self

    @property
    def target(self) -> tuple[str, float] | None:
        """What is to become less, and the share of it that may stay; None where a ratio says how much goes."""
        return next(((name, share) for name in TARGETS if (share := getattr(self, name)) is not None), None)

    def run(self, source: Artifact, target: Path, job: Job) -> None:
        """Raises NothingPaid where nothing may go, UsageError for wishes that cannot be met, ModelError where it cannot be followed."""
        if source.format == "torch":
            from optkit.passes._torch_channels import prune_torch_channels

            if self.importance == "least_squares":
                raise UsageError("importance least_squares is for ONNX models", hint="take magnitude, taylor or batch_norm_scale")
            prune_torch_channels(self, source, target, job)
            return
        from optkit.passes._onnx_channels import prune_onnx_channels

        prune_onnx_channels(self, source, target, job)
