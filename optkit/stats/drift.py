"""Whether times measured in rounds can be trusted: how much they wander from round to round, and how wide they spread within one."""

from collections.abc import Sequence

import numpy as np

from optkit.arrays import Array


def wander(rounds: Sequence[Array]) -> float:
    """(p90 − p10) / p50 of the rounds' medians: 0 on a quiet machine, 0.5 where it was busy half of the time."""
    return spread(np.array([np.median(row) for row in rounds]))


def spread(values: Array) -> float:
    """(p90 − p10) / p50: how far apart the usual values are. Scale-free; single outliers do not count."""
    low, middle, high = np.quantile(values, [0.1, 0.5, 0.9])
    return float((high - low) / middle) if middle else 0.0


def trend(rounds: Sequence[Array]) -> float:
    """Median of the last third of the rounds relative to that of the first third, minus 1; 0 with fewer than six rounds."""
    third = len(rounds) // 3
    if third < 2:
        return 0.0
    return float(np.median(np.concatenate(rounds[-third:])) / np.median(np.concatenate(rounds[:third])) - 1)
