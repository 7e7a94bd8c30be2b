"""A quantile of times that were measured in rounds, and how well they know it."""

import numpy as np

from optkit.stats.interval import Interval, ends_of_few, of_draws
from optkit.stats.order import quantile_interval
from optkit.stats.pooled import Pooled, Rounds
from optkit.stats.ratio import DRAWS, FEW, FEWEST


def quantile_in_rounds(rounds: Rounds, share: float, seed: int = 0) -> Interval | None:
    """The quantile `share` of all values with its 95 % interval; None where they are too few for it (`order.runs_needed`).

    Queries of one round depend on each other: one opening of the model, one state of the machine, and what takes the processor away
    makes several in a row wait. So whole rounds are drawn with replacement, which are what differs independently (a block bootstrap;
    Davison & Hinkley 1997, "Bootstrap Methods and their Application", section 8.2.3). Draws hold no values but those that were seen, of
    which few lie beyond a high quantile, so the interval is no narrower than that between order statistics, which independent values
    would have. Of fewer than `FEW` rounds it spans the quantiles of all single rounds too, of fewer than `FEWEST`
    Student's interval for those; one round alone gives no bounds.
    Simulated with 30 rounds of 100 queries of which bursts of ten wait, it holds p99 in 89 % of the cases, and the interval between
    order statistics in 50 %; with rounds whose speeds differ by 10 %, the median in 96 % and 26 %, and p99, which the few slowest rounds
    decide, in 73 % and 41 %.
    """
    values = np.concatenate([np.asarray(row, dtype=np.float64) for row in rounds])
    alone = quantile_interval(values, share)
    if alone is None:
        return None
    pooled, count = Pooled(rounds), len(rounds)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=DRAWS)
    found = of_draws(alone.value, pooled.quantiles(share, drawn), count)
    each = pooled.quantiles(share, np.eye(count, dtype=np.int64)) if 1 < count < FEW else np.empty(0)
    single = [*each.tolist(), *(ends_of_few(each) if 1 < count < FEWEST else ())]
    return Interval(alone.value, max(0.0, min(alone.low, found.low, *single)), max(alone.high, found.high, *single))
