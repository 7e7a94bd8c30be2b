"""Which quantiles of latency show the machine being busy, and not the models."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from optkit.arrays import Array
from optkit.stats.order import runs_needed

if TYPE_CHECKING:
    from optkit.measure import Conditions


TAILS = (0.9, 0.99)
LONGEST_SPREAD = 8.0
"""A quantile over the median of a model's own times. Beyond it the process was not running: a scheduler's slice is milliseconds."""
BEYOND_QUIET = 2.0
"""A quantile over the median, relative to what it is in the quiet part of the same run. A model's inputs come again in every part; what
makes its slow queries twice as slow in some parts only is not the model."""
QUIET = 0.25
"""Share of the parts of a run that count as quiet."""
VALUES_BEYOND = 2
"""Beyond the quantile in each part, on average: fewer make its quantile that of a lucky draw."""
APART = 1.5
"""One model's tail relative to the other's where other programs were at work. They answer the same inputs in turns, so that what makes
some inputs slow shows in both, and a queue for a processor in whichever of them was longer at it."""
MUCH_OTHERS = 0.3
"""Of the machine's computing time. Less leaves a processor free on most machines."""
MUCH_STOLEN = 0.03


def is_busy(conditions: "Conditions | None") -> bool:
    """Whether others computed so much that a query may have waited for them."""
    return conditions is not None and (conditions.others > MUCH_OTHERS or conditions.stolen > MUCH_STOLEN)


def waited(models: Sequence[Sequence[Array]], busy: bool, shares: Sequence[float] = TAILS) -> tuple[float, ...]:
    """The quantiles of models timed in turns that waiting decides, of those in `shares` that some model's runs suffice for.

    `models` are the times of each by round. Where a quantile is among them, so are those above it.
    """
    relative = [_relative(rounds) for rounds in models]
    known = {at: able for at in shares if (able := [each for each in relative if len(each) >= runs_needed(at)])}
    first = min((at for at, able in known.items() if _is_hit(able, at, busy)), default=1.0)
    return tuple(at for at in known if at >= first)


def quantile_name(share: float) -> str:
    """`p90`, `p999`."""
    return f"p{share * 100:g}".replace(".", "")


def _is_hit(models: Sequence[Array], at: float, busy: bool) -> bool:
    tails = [float(np.quantile(each, at)) for each in models]
    if max(tails) > LONGEST_SPREAD or any(_beyond_quiet(each, at) for each in models):
        return True
    return busy and max(tails) > APART * min(tails)


def _beyond_quiet(relative: Array, at: float) -> bool:
    parts = int(len(relative) * (1 - at) / VALUES_BEYOND + 1e-9)
    tails = [np.quantile(part, at) for part in np.array_split(relative, parts)]
    return bool(np.quantile(relative, at) > BEYOND_QUIET * np.quantile(tails, QUIET))


def _relative(rounds: Sequence[Array]) -> Array:
    """Times over the median of their round, in the order of rounds: a machine that slows down for a while is no tail."""
    if all(len(each) == 1 for each in rounds):
        values = np.concatenate(rounds)
        found: Array = values / np.median(values)
        return found
    return np.concatenate([each / np.median(each) for each in rounds])
