"""The mildest pruning that reaches a target, found by trying ratios."""

from collections.abc import Callable

from optkit.errors import UsageError

MOST = (0.9, 0.8, 0.7, 0.5)
"""Ratios at which it is tried whether the target can be reached at all; a network of narrow layers may refuse the first ones."""


def mildest(share_at: Callable[[float], float], share: float, what: str, steps: int = 8) -> float:
    """The smallest ratio, to 1 in 2^steps, whose share of the original's cost is at most `share`. Raises UsageError where none is."""
    most, least = _furthest(share_at)
    if least > share:
        hint = f"ask for {what}: {least + 0.005:.2f} or more, lower round_to, or exclude fewer layers"
        raise UsageError(
            f"{what}: {share:g} cannot be reached by taking out channels: {least:.2f} is left at a ratio of {most:g}", hint=hint
        )
    low, high = 0.0, most
    for _ in range(steps):
        middle = (low + high) / 2
        if share_at(middle) <= share:
            high = middle
        else:
            low = middle
    return high


def _furthest(share_at: Callable[[float], float]) -> tuple[float, float]:
    """The largest ratio that leaves every layer something, and what it leaves."""
    for ratio in MOST:
        try:
            return ratio, share_at(ratio)
        except UsageError:
            if ratio == MOST[-1]:
                raise
    raise AssertionError("the last ratio returns or raises")
