"""A queue that is only played through, with batch times that were measured: where a search for a rate starts, and in which rhythm."""

from collections.abc import Mapping
from functools import partial
from random import Random

import numpy as np

from optkit.arrays import Array
from optkit.scenarios._queue import Queue, next_batch

IN_TIME = 0.99
SIMULATED = (2_000, 20_000)
"""Queries played through, for a first look at a rate and for a close one."""
CLOSE = 1.15
"""Times as high and as low as the first look says, that the close one looks at."""
TRACES, PLAYED = 20, 100_000
"""Most traces, and most queries of all of them, that are played through to find a typical one."""


def simulated(times: Mapping[int, Array], queue: Queue, arrivals: Array, dice: np.random.Generator) -> Array:
    """What queries would wait, if every batch took one of its measured times."""
    answered, coming = np.empty(len(arrivals)), arrivals.tolist()
    taken, pick = {batch: each.tolist() for batch, each in times.items()}, Random(int(dice.integers(2**32))).choice
    now, done = 0.0, 0
    while done < len(coming):
        now = max(now, coming[done])
        ready, ask = next_batch(queue, coming, done, now)
        if ready == 0:
            now = ask
            continue
        now += pick(taken[queue.size_for(ready)])
        answered[done : done + ready] = now
        done += ready
    return answered - arrivals


def rate_to_start(times: Mapping[int, Array], queue: Queue, slo: float, dice: np.random.Generator) -> float:
    """The highest rate that holds when the queue is played through, by halving: first roughly, then closely."""
    high = max(batch / float(np.median(each)) for batch, each in times.items())
    low = lowest = high / 1000
    for queries, halvings in zip(SIMULATED, (10, 4), strict=True):
        rhythm = np.cumsum(dice.exponential(1, queries))
        holds = partial(_holds, times, queue, slo, rhythm, dice)
        while queries == SIMULATED[-1] and not holds(low) and low > lowest:  # the first look was a lucky one
            low, high = low / CLOSE, low
        for _ in range(halvings):
            middle = (low * high) ** 0.5
            low, high = (middle, high) if holds(middle) else (low, middle)
        found = low
        low, high = found / CLOSE, found * CLOSE
    return found


def _holds(times: Mapping[int, Array], queue: Queue, slo: float, rhythm: Array, dice: np.random.Generator, rate: float) -> bool:
    return float((simulated(times, queue, rhythm / rate, dice) > slo).mean()) <= 1 - IN_TIME


def typical_rhythm(times: Mapping[int, Array], queue: Queue, slo: float, rate: float, wanted: int, dice: np.random.Generator) -> Array:
    """When so many queries come, in mean gaps between them: of several traces that in which 1 of 100 is late at `rate`, or nearly."""
    allowed, found = 1 - IN_TIME, []
    for _ in range(max(2, min(TRACES, PLAYED // wanted))):
        trace = np.cumsum(dice.exponential(1, wanted))
        late = float((simulated(times, queue, trace / rate, dice) > slo).mean())
        found.append((late > allowed, abs(late - allowed), trace))
    return min(found, key=lambda each: each[:2])[-1]
