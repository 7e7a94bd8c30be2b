"""How much more data would decide."""

from math import ceil, inf, isfinite

from optkit.stats.interval import Z

POWER = 0.8
Z_POWER = 0.8416212335729143
"""The normal quantile of `POWER`."""
MOST = 100_000_000
"""More than anyone will measure: as good as never."""


def rounded_up(number: float) -> int:
    """To two significant digits, for people: it is an estimate."""
    whole = ceil(number)
    step: int = 10 ** max(0, len(str(whole)) - 2)
    return -(-whole // step) * step


def more_needed(n: int, distance: float, half_width: float) -> int | None:
    """How many more examples or rounds would decide, or None when none would.

    `distance` is how far the estimate is from the limit, `half_width` how far the 95 % interval reaches from the estimate towards it.
    Normal approximation: the interval shrinks with the square root of n, so that n·(half_width / distance)² units bring its end to the
    limit. With just as many, the next estimate falls short of deciding half of the time; this is what decides with 80 % power if the
    truth is where the estimate is: n·((z₀.₉₇₅ + z₀.₈)/z₀.₉₇₅ · half_width / distance)² (Cohen 1988, "Statistical Power Analysis").
    """
    if not (isfinite(distance) and isfinite(half_width)) or n < 2 or distance == 0:
        return None
    factor = abs(half_width / distance) * (Z + Z_POWER) / Z
    total = n * factor * factor if factor < 1e6 else inf
    return max(1, ceil(total - n)) if total <= MOST else None


def more_needed_alike(n: int, distance: float, half_width: float) -> int | None:
    """As `more_needed`, where not one of `n` units differed, and what decides if none of the others does either.

    The interval is then z²/(n + z²) to either side (Tango 1998, with no discordant pair): it shrinks with n, not with its square root.
    """
    if not (isfinite(distance) and isfinite(half_width)) or n < 2 or distance <= 0:
        return None
    total = (n + Z * Z) * half_width / distance - Z * Z
    return max(1, ceil(total - n)) if total <= MOST else None
