"""Which quantiles of latency show the machine being busy, and not the models."""

from typing import TYPE_CHECKING

import numpy as np

from optkit.arrays import Array
from optkit.samples import Samples
from optkit.stats.order import runs_needed

if TYPE_CHECKING:
    from optkit.measure import Conditions


TAILS = (("p90", 0.9), ("p99", 0.99))
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


def waited(first: Samples, second: Samples, busy: bool) -> tuple[str, ...]:
    """The quantiles that waiting decides, `p90` and `p99`, of what the runs suffice for; where p90 is among them, so is p99."""
    runs = min(len(first.values), len(second.values))
    hit = [name for name, at in TAILS if runs >= runs_needed(at) and _is_hit(first, second, at, busy)]
    return tuple(name for name, at in TAILS if runs >= runs_needed(at)) if "p90" in hit else tuple(hit)


def _is_hit(first: Samples, second: Samples, at: float, busy: bool) -> bool:
    tails = [float(np.quantile(_relative(each), at)) for each in (first, second)]
    if max(tails) > LONGEST_SPREAD or any(_beyond_quiet(each, at) for each in (first, second)):
        return True
    return busy and max(tails) > APART * min(tails)


def _beyond_quiet(latency: Samples, at: float) -> bool:
    relative = _relative(latency)
    parts = int(len(relative) * (1 - at) / VALUES_BEYOND + 1e-9)
    tails = [np.quantile(part, at) for part in np.array_split(relative, parts)]
    return bool(np.quantile(relative, at) > BEYOND_QUIET * np.quantile(tails, QUIET))


def _relative(latency: Samples) -> Array:
    """Times over the median of their round, in the order of rounds: a machine that slows down for a while is no tail."""
    values = np.asarray(latency.values, dtype=np.float64)
    if not latency.groups or len(set(latency.groups)) == len(values):
        return values / np.median(values)
    numbers, places = np.unique(np.asarray(latency.groups), return_inverse=True)
    order = np.argsort(places, kind="stable")
    rounds = np.split(values[order], np.searchsorted(places[order], np.arange(1, len(numbers))))
    return np.concatenate([each / np.median(each) for each in rounds])
