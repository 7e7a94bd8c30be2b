"""Are the ranges that a model was quantized with still right for today's inputs?"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from optkit.drift.judging import MEAN_LOSS, TENSOR_LOSS, exceeds, mean_exceeds
from optkit.drift.stored import Stored, stored_statistics
from optkit.errors import DataError, ModelError
from optkit.progress import Progress, silent
from optkit.units import counted

if TYPE_CHECKING:
    from optkit.datasets import Examples
    from optkit.quantization.calibration.clipping import Fit, Ranged

SCHEMA = 1
FEWEST = 8
"""Examples with which anything is said."""
Says = Literal["fits", "recalibrate"]

__all__ = ["MEAN_LOSS", "TENSOR_LOSS", "Drift", "TensorDrift", "drift"]


@dataclass(frozen=True)
class TensorDrift:
    """One activation: the range it was given, and the values seen now and when it was calibrated."""

    name: str
    range: tuple[float, float]
    """Least and greatest value that its integers hold."""
    seen: tuple[float, float]
    """Least and greatest value computed for these examples."""
    clipped: float
    """Share of the values beyond the range by more than rounding."""
    loss: float
    """dB: the error of quantizing it, above what the best range for these examples would give."""
    seen_then: tuple[float, float] | None
    """At calibration; None where the model says nothing of it."""
    clipped_then: float | None
    loss_then: float | None
    shift: float | None
    """How far the ends of what is seen moved, the larger of the two, relative to what was seen at calibration."""
    verdict: Says


@dataclass(frozen=True)
class Drift:
    """How the ranges of a model fit some examples."""

    schema: int
    model: str
    data: str
    examples: int
    calibrated_on: int | None
    """Examples that the statistics of calibration rest on; None where the model holds none."""
    loss: float | None
    """dB: the mean over tensors of how much more is lost than at calibration; None without its statistics."""
    loss_at_least: float | None
    """The lower bound of its one-sided 95 % interval."""
    tensors: tuple[TensorDrift, ...]
    """What loses most first."""
    verdict: Says
    reason: str
    interrupted: bool = False
    """Ctrl-C ended it: `examples` are those that were seen by then."""


def drift(model: Path, examples: "Examples", *, threads: int = 1, progress: "Progress | None" = None) -> Drift:
    """Run a quantized model and see how the values of every tensor fit the range it was given.

    A tensor does not fit when its range loses more than `TENSOR_LOSS` dB more than at calibration, beyond chance; all together do not
    fit when they lose more than `MEAN_LOSS` dB more on average. Where the model holds no statistics of its calibration, only ranges that
    clip are judged. Ctrl-C ends it with what the examples by then show, if they are enough.

    Raises ModelError for a model without quantized activations, DataError for too few examples.
    """
    from optkit.formats.onnx import load_model
    from optkit.quantization.calibration.clipping import fits, ranged_activations
    from optkit.quantization.calibration.watcher import Watcher
    from optkit.quantization.graphs import all_graphs

    loaded = load_model(model)
    tensors = ranged_activations(loaded)
    if not tensors:
        if any(node.op_type in ("DynamicQuantizeLinear", "MatMulNBits") for graph in all_graphs(loaded) for node in graph):
            reason = "no range was calibrated: they are computed anew for every input, or only weights are quantized"
            return Drift(SCHEMA, model.name, examples.source, len(examples), None, None, None, (), "fits", reason)
        hint = "name a model that was quantized with static ranges (QuantizeLinear)"
        raise ModelError("it has no quantized activations, so no range can be wrong", where=str(model), hint=hint)
    if len(examples) < FEWEST:
        what = f"{counted(len(examples), 'example')} cannot tell whether ranges fit"
        raise DataError(what, where=examples.source, hint=f"give at least {FEWEST}")
    _check_numbers(examples)
    shares: list[float] = []
    found = fits(loaded, tensors, Watcher(examples, threads, progress=progress or silent), shares.append)
    seen = int(len(examples) * shares[0]) if shares else len(examples)
    if seen < FEWEST:
        raise KeyboardInterrupt
    judged = _judged(model, examples, tensors, found, stored_statistics(model))
    if shares:
        told = f"{judged.reason}; it was interrupted after {seen:,} of {len(examples):,} examples"
        judged = replace(judged, examples=seen, interrupted=True, reason=told)
    inside = sum(node.op_type.startswith("QLinear") for graph in all_graphs(loaded) for node in graph)
    unseen = f"; {inside} operators hold their ranges inside (QLinearConv and the like) and were not looked at"
    return replace(judged, reason=judged.reason + unseen) if inside else judged


def _check_numbers(examples: "Examples") -> None:
    """Infinity may be meant, as in a mask; NaN goes through every layer, and of what it leaves behind no range can be judged."""
    for name, array in examples.arrays.items():
        broken = (row for row in range(len(array)) if array.dtype.kind == "f" and np.isnan(array[row]).any())
        if (row := next(broken, None)) is not None:
            raise DataError(
                f"{name!r} is NaN in example {row}", where=examples.source, hint="leave such examples out, or mend what made them"
            )


def _judged(model: Path, examples: "Examples", tensors: "list[Ranged]", found: "dict[str, Fit]", stored: Stored | None) -> Drift:
    rows = [_row(each, found[each.name], stored, len(found)) for each in tensors if each.name in found]
    rows.sort(key=lambda row: (row.verdict == "fits", row.loss_then is None, -(row.loss - (row.loss_then or 0))))
    wrong = sum(row.verdict == "recalibrate" for row in rows)
    mean, at_least = mean_exceeds(found, stored) if stored is not None else (None, None)
    everywhere = at_least is not None and at_least > MEAN_LOSS
    verdict: Says = "recalibrate" if wrong or everywhere else "fits"
    return Drift(
        SCHEMA,
        model.name,
        examples.source,
        len(examples),
        None if stored is None else stored.examples,
        mean,
        at_least,
        tuple(rows),
        verdict,
        _reason(wrong, len(rows), sum(map(_may_not_fit, rows)), mean, everywhere, stored),
    )


def _row(tensor: "Ranged", fit: "Fit", stored: Stored | None, among: int) -> TensorDrift:
    then = None if stored is None else stored.tensors.get(tensor.name)
    wrong = exceeds(fit, None if then is None else then.loss, among)
    return TensorDrift(
        tensor.name,
        (tensor.low, tensor.high),
        (fit.low, fit.high),
        fit.clipped,
        fit.loss,
        None if then is None else (then.low, then.high),
        None if then is None else then.clipped,
        None if then is None else then.loss,
        None if then is None else _shift((then.low, then.high), (fit.low, fit.high)),
        "recalibrate" if wrong else "fits",
    )


def _shift(then: tuple[float, float], now: tuple[float, float]) -> float:
    width = then[1] - then[0]
    moved = max(abs(now[0] - then[0]), abs(now[1] - then[1]))
    return moved / width if width else 0.0 if moved == 0 else 1.0


def _may_not_fit(row: TensorDrift) -> bool:
    """Whether so few examples show a loss that they do not prove."""
    return row.verdict == "fits" and row.loss_then is not None and row.loss - row.loss_then > TENSOR_LOSS


def _reason(wrong: int, count: int, open_still: int, mean: float | None, everywhere: bool, stored: Stored | None) -> str:
    parts = []
    if wrong:
        which = "the only range" if count == 1 else f"{wrong} of {count} ranges"
        parts.append(f"{which} no longer {'fits' if wrong == 1 else 'fit'}")
    if everywhere:
        parts.append(f"on average ranges lose {mean:.1f} dB more than at calibration")
    if not parts and open_still:
        some = "it" if count == 1 else f"{open_still} of {count} ranges"
        parts.append(f"not shown to fit worse than at calibration, though {some} may: more examples would tell")
    elif not parts:
        every = "the only range fits" if count == 1 else f"all {count} ranges fit"
        parts.append(every if mean is None else f"{every} as well as at calibration")
    if stored is None:
        parts.append("the model says nothing of its calibration, so only clipping was judged")
    return "; ".join(parts)
