"""A short record of what calibration saw, for the model to carry: `optkit drift` holds later inputs against it."""

from dataclasses import replace
from typing import Any

import onnx_ir as ir

from optkit.errors import UsageError
from optkit.progress import silent
from optkit.quantization.calibration.clipping import fits, ranged_activations
from optkit.quantization.calibration.watcher import Watcher

NOTE = "calibration"
EXAMPLES = 64
"""Enough to know extremes and errors; more would take longer and change little."""
DIGITS = 4


def calibration_note(model: ir.Model, watcher: Watcher) -> dict[str, Any] | None:
    """For each activation with a fixed range: least and greatest value, share clipped, and loss in dB (`clipping.Fit`), rounded.

    About 40 bytes a tensor. The quantized model computes them itself, as it will when later inputs are looked at. None where it has no
    such activation.
    """
    tensors = ranged_activations(model)
    if not tensors:
        return None
    few = replace(watcher.spread(EXAMPLES), progress=silent)
    try:
        found = fits(model, tensors, few)
    except UsageError:  # too little memory was allowed to look once more: the model is made, and worth more than its note
        return None
    rows = {name: [_short(fit.low), _short(fit.high), _short(fit.clipped, 2), _short(fit.loss, 2)] for name, fit in found.items()}
    return {"examples": len(few.examples), "tensors": rows}


def _short(number: float, digits: int = DIGITS) -> float:
    return float(f"{number:.{digits}g}")
