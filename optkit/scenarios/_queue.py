"""Single queries wait in one queue; one worker answers them in batches as they have gathered."""

import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from optkit.arrays import Array
from optkit.timing.lanes import Calls

Run = Callable[[int], float]
"""Answers a batch of so many queries; the seconds it took."""


@dataclass(frozen=True)
class Queue:
    """How queries become batches."""

    sizes: tuple[int, ...]
    """Batch sizes, ascending; a batch is the largest of them that the waiting queries fill."""
    max_delay: float
    """Seconds that the first query of a batch waits for others, at most."""

    def size_for(self, queries: int) -> int:
        """The batch that so few queries are answered in: filled up where the model takes no smaller one."""
        return next(size for size in self.sizes if size >= queries)


@dataclass(frozen=True)
class Served:
    """What became of queries that were sent."""

    waits: Array
    """Seconds that each waited for its answer; of the first of them only, where it ended before all were answered."""
    seconds: float
    """From the start to the last answer."""
    taken: Mapping[int, Sequence[float]]
    """Batch size → seconds of each batch, with what asking takes besides."""
    interrupted: bool = False


def runner(opened: Mapping[int, Calls]) -> Run:
    turns = dict.fromkeys(opened, 0)

    def run(batch: int) -> float:
        calls = opened[batch]
        turns[batch] += 1
        start = time.perf_counter()
        calls[turns[batch] % len(calls)]()
        return time.perf_counter() - start

    return run


def serve(run: Run, queue: Queue, arrivals: Array, slo: float = inf, most_late: float = inf) -> Served:
    """Send queries at these times, in seconds from now. It ends early where more than `most_late` took longer than `slo`, or on Ctrl-C."""
    answered, coming = np.empty(len(arrivals)), arrivals.tolist()
    start, done, late, interrupted = time.perf_counter(), 0, 0, False
    taken: dict[int, list[float]] = {size: [] for size in queue.sizes}
    try:
        while done < len(coming) and late <= most_late:
            now = time.perf_counter() - start
            ready, ask = next_batch(queue, coming, done, now)
            if ready == 0:
                time.sleep(max(0.0, min(ask - now, 0.001)) if ask - now > 2e-4 else 0.0)
                continue
            size = queue.size_for(ready)
            run(size)
            end = time.perf_counter() - start
            taken[size].append(end - now)
            answered[done : done + ready] = end
            late += bisect_left(coming, end - slo, done, done + ready) - done
            done += ready
    except KeyboardInterrupt:
        interrupted = True
    waits = answered[:done] - arrivals[:done]
    return Served(waits, float(answered[done - 1]) if done else 0.0, taken, interrupted)


def next_batch(queue: Queue, arrivals: Sequence[float], done: int, now: float) -> tuple[int, float]:
    """How many queries to answer now; 0 when there is nothing yet, with the time at which to ask again."""
    waiting = bisect_right(arrivals, now, done) - done
    if waiting == 0:
        return 0, arrivals[done]
    last = done + waiting == len(arrivals)
    if waiting < queue.sizes[-1] and not last and now < arrivals[done] + queue.max_delay:
        return 0, min(arrivals[done] + queue.max_delay, arrivals[done + waiting])
    return max((size for size in queue.sizes if size <= waiting), default=waiting), now  # too few for the smallest batch: it is filled up
