"""When a range no longer fits: by how much more it loses than at calibration, beyond chance."""

from typing import TYPE_CHECKING

import numpy as np

from optkit.drift.stored import Stored

if TYPE_CHECKING:
    from optkit.quantization.calibration.clipping import Fit

TENSOR_LOSS = 3.0
"""dB that one range may lose more: twice the squared error, half a bit."""
MEAN_LOSS = 0.75
"""dB that all ranges may lose more on average. On the data that a model was made for they stay within 0.3 of what they lost at
calibration (0.01 to 0.11 dB for three of the zoo's models); inverted or brightened images, random bytes and noise in place of text
cost them 1.6 to 5.6."""
CLIPPING = 0.001
"""Share of the values that is clipped by a range of which it is not known how well it once did."""
RISK = 0.05


def exceeds(fit: "Fit", loss_then: float | None, among: int) -> bool:
    """Whether a range loses too much, one-sided at 5 % for all `among` ranges together (Bonferroni)."""
    from scipy.special import stdtrit

    from optkit.quantization.calibration.clipping import jackknife

    parts = len(fit.without)
    if parts < 2 or (loss_then is None and fit.clipped < CLIPPING):
        return False
    chance = float(stdtrit(parts - 1, 1 - RISK / max(1, among))) * jackknife(np.array(fit.without))
    return fit.loss - chance - (loss_then or 0.0) > TENSOR_LOSS


def mean_exceeds(found: "dict[str, Fit]", stored: Stored) -> tuple[float | None, float | None]:
    """How much more all ranges lose on average than they did, and its one-sided 95 % lower bound; None where none is known."""
    from scipy.special import stdtrit

    from optkit.quantization.calibration.clipping import jackknife

    known = [(fit, stored.tensors[name].loss) for name, fit in found.items() if name in stored.tensors]
    if not known:
        return None, None
    mean = float(np.mean([fit.loss - then for fit, then in known]))
    parts = min(len(fit.without) for fit, _ in known)
    if parts < 2:
        return mean, None
    without = np.mean([fit.without[:parts] for fit, _ in known], axis=0)
    return mean, mean - float(stdtrit(parts - 1, 1 - RISK)) * jackknife(without)
