"""Looking at many differences at once, chance makes some of them look real: p-values corrected for that."""

from collections.abc import Sequence

import numpy as np


def holm(chances: Sequence[float]) -> list[float]:
    """p-values that hold for all of them together: below 5 %, the chance of a single false alarm among all is below 5 %.

    Whether they depend on each other does not matter (Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure",
    Scandinavian Journal of Statistics 6:65-70).
    """
    given = np.asarray(chances, np.float64)
    order = np.argsort(given, kind="stable")
    ascending = given[order] * np.arange(len(given), 0, -1)
    corrected = np.empty(len(given))
    corrected[order] = np.minimum(np.maximum.accumulate(ascending), 1.0)
    found: list[float] = corrected.tolist()
    return found
