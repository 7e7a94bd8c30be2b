"""Every weight in groups by each way of rounding that is asked for, and how far its layer's answers move by it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.progress import Progress
from optkit.quantization.blocks.blocked import Blocked, Scheme
from optkit.quantization.blocks.gptq import gptq, row_errors
from optkit.quantization.blocks.hqq import half_quadratic
from optkit.quantization.blocks.layers import Reader, Weight
from optkit.quantization.blocks.moments import moments_of
from optkit.quantization.blocks.round_to_nearest import round_to_nearest
from optkit.quantization.calibration.watcher import Watcher

NAMES = {"rtn": "round to nearest", "hqq": "HQQ", "gptq": "GPTQ"}


@dataclass
class Rounded:
    """All weights by one algorithm, by name."""

    algorithm: str
    blocked: dict[str, Blocked] = field(default_factory=dict)
    noise: dict[str, float] = field(default_factory=dict)
    """Energy of the error at the outputs of a weight's layer over the energy of the outputs: on the examples where those are known,
    else for inputs of equal strength."""


def round_all(
    model: ir.Model,
    weights: Sequence[Weight],
    watcher: Watcher | None,
    scheme: Scheme,
    algorithms: Sequence[str],
    progress: Progress,
) -> list[Rounded]:
    """One result for each of `algorithms`. GPTQ rounds a weight whose inputs are not known as HQQ does."""
    found = [Rounded(name) for name in algorithms]
    for done, (weight, moments) in enumerate(moments_of(model, weights, watcher)):
        progress("rounding weights", done, len(weights))
        rows = weight.rows()
        own = replace(scheme, bits=bits_for(weight, scheme.bits), half=weight.half).fitted(rows.shape[1], table=_looked_up(weight))
        for each in found:
            blocked = _rounded(each.algorithm, rows, moments, own)
            each.blocked[weight.name] = blocked
            each.noise[weight.name] = _noise(rows, blocked.real(), moments)
    return found


def bits_for(weight: Weight, bits: int) -> int:
    """Two entries of a row share a byte: a table of odd width cannot have 4 bits."""
    return 8 if weight.shape[1] % 2 and _looked_up(weight) else bits


def _looked_up(weight: Weight) -> bool:
    return any(use.reader is Reader.GATHER for use in weight.uses)


def _rounded(algorithm: str, rows: Array, moments: Array | None, scheme: Scheme) -> Blocked:
    if algorithm == "rtn" or scheme.bits == 8:
        return round_to_nearest(rows, scheme)
    return half_quadratic(rows, scheme) if algorithm == "hqq" or moments is None else gptq(rows, moments, scheme)


def _noise(rows: Array, real: Array, moments: Array | None) -> float:
    if moments is None:
        return float(((rows - real) ** 2).sum(dtype=np.float64) / max(float((rows**2).sum(dtype=np.float64)), 1e-30))
    return float(row_errors(rows - real, moments).sum() / max(float(row_errors(rows, moments).sum()), 1e-30))
