"""Queries come when they come: the highest rate at which 99 of 100 are answered in time."""

import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from optkit.arrays import Array
from optkit.errors import UsageError
from optkit.progress import Progress
from optkit.scenarios import Candidate, Figure, Outcome, Traffic
from optkit.stats.order import runs_needed
from optkit.stats.proportions import share_in_sequence
from optkit.timing.lanes import Calls, warm_up

Run = Callable[[int], float]
"""Answers a batch of so many queries; the seconds it took."""

IN_TIME = 0.99
TRIES = 6
LOWER, RAISE = 0.93, 1.05
"""After a rate that was too high, and after one that held."""
TIMINGS = 15
"""Of each batch size, for the rate to start with."""
SIMULATED = (2_000, 20_000)
"""Queries played through, for a first look at a rate and for a close one."""
CLOSE = 1.15
"""Times as high and as low as the first look says, that the close one looks at."""
TRACES, PLAYED = 20, 100_000
"""Most traces, and most queries of all of them, that are played through to find a typical one."""
VAGUE = 3
"""Times as many queries late as are allowed, that the interval reaches to, from which on it is worth a word."""
SETTLED = 10
"""Times the limit that a try lasts at least: in less a queue that grows without end would not show."""
LONGEST = 60.0
"""Seconds of one try: a rate whose 99 % takes longer to know than that is not tried."""


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


class Server:
    """Single queries arrive by chance (Poisson) and wait in one queue; one worker answers them in batches as they have gathered.

    The final result is the highest rate tried at which 99 of 100 queries were answered within `slo`, waiting included. Where to start
    is found by playing the queue through with measured batch times; then real queries are sent at that rate, and at lower or higher
    ones. As many are sent as the 99th percentile needs, each time in the same rhythm: one in which about as many are late as in the
    long run, since the luckiest of several rhythms would promise too much. The models take turns try by try.
    """

    def run(
        self, models: Sequence[Candidate], traffic: Traffic, progress: Progress, interrupted: Callable[[], None] | None = None
    ) -> list[Outcome]:
        if traffic.slo is None:
            raise UsageError("the scenario server needs to know what is in time", hint="--slo 50ms")
        going = {place: self._tries(model, traffic, traffic.slo, progress) for place, model in enumerate(models)}
        found: dict[int, Outcome] = {}
        while going:
            for place, tries in list(going.items()):
                outcome = next(tries)
                if outcome is not None:
                    found[place] = outcome
                    del going[place]
        return [found[place] for place in range(len(models))]

    def _tries(self, model: Candidate, traffic: Traffic, slo: float, progress: Progress) -> Iterator[Outcome | None]:
        """None after each rate that was tried, and at last what came of them."""
        opened: dict[int, Calls] = {batch: model.opener(batch)() for batch in sorted(model.batches)}
        for calls in opened.values():
            warm_up(calls[0])
        queue, run = Queue(tuple(opened), traffic.max_delay), runner(opened)
        times = {batch: np.array([run(batch) for _ in range(TIMINGS)]) for batch in opened}
        if float(np.median(times[queue.sizes[0]])) > slo:
            yield Outcome((), (f"a single query takes longer than {slo * 1e3:g} ms, so no rate can hold",))
            return
        dice = np.random.default_rng(traffic.seed)
        rate, held, failed, best = rate_to_start(times, queue, slo, dice), 0.0, float("inf"), None
        most = max(batch / float(np.median(each)) for batch, each in times.items())
        wanted = max(runs_needed(IN_TIME), round(rate * max(traffic.seconds, SETTLED * slo)))
        if wanted / rate > LONGEST:
            late = int((times[queue.sizes[0]] > slo).sum())
            slow = f"it is too slow for {wanted:,} queries in {LONGEST:.0f} s, which the 99th percentile needs"
            busy = f"{late} of {TIMINGS} queries took longer than {slo * 1e3:g} ms though none waited: the machine may be busy"
            yield Outcome((), (busy if late else slow,))
            return
        rhythm = typical_rhythm(times, queue, slo, rate, wanted, dice)
        for number in range(TRIES):
            progress(f"{model.name}: {_shown(rate)} queries a second", number, TRIES)
            waits = _serve(run, queue, rhythm / rate)
            if float((waits > slo).mean()) <= 1 - IN_TIME:
                held, best = rate, waits
            else:
                failed = rate
            yield None
            if best is not None and failed < held * (RAISE + 0.01):
                break
            # what asking takes besides is not in the measured times: of a model that takes microseconds it is most of the time
            answered = len(waits) / float((rhythm / rate + waits).max())
            rate = min(rate, answered) * LOWER if held == 0 else min(held * RAISE, (held + failed) / 2, most)
        if best is None:
            yield Outcome((), (f"no rate that was tried held, down to {_shown(failed)} a second: the machine may be busy",))
        else:
            yield _outcome(held, best, slo)


def _outcome(rate: float, waits: Array, slo: float) -> Outcome:
    late = share_in_sequence(waits > slo)
    figures = (
        Figure("queries_per_second", "1/s", rate, None, None, len(waits)),
        Figure("late", "ratio", late.value, late.low, late.high, len(waits)),
        Figure("latency_p99", "s", float(np.quantile(waits, IN_TIME, method="inverted_cdf")), None, None, len(waits)),
        Figure("latency_p50", "s", float(np.median(waits)), None, None, len(waits)),
    )
    vague = late.high > VAGUE * (1 - IN_TIME)
    return Outcome(figures, (f"up to {late.high:.1%} may be late at this rate: more --time tells it better",) if vague else ())


def runner(opened: Mapping[int, Calls]) -> Run:
    turns = dict.fromkeys(opened, 0)

    def run(batch: int) -> float:
        calls = opened[batch]
        turns[batch] += 1
        start = time.perf_counter()
        calls[turns[batch] % len(calls)]()
        return time.perf_counter() - start

    return run


def _serve(run: Run, queue: Queue, arrivals: Array) -> Array:
    """Send queries at these times, in seconds from now; what each waited for its answer."""
    answered, coming = np.empty(len(arrivals)), arrivals.tolist()
    start, done = time.perf_counter(), 0
    while done < len(coming):
        now = time.perf_counter() - start
        ready, ask = _next(queue, coming, done, now)
        if ready == 0:
            time.sleep(max(0.0, min(ask - now, 0.001)) if ask - now > 2e-4 else 0.0)
            continue
        run(queue.size_for(ready))
        answered[done : done + ready] = time.perf_counter() - start
        done += ready
    return answered - arrivals


def _next(queue: Queue, arrivals: Sequence[float], done: int, now: float) -> tuple[int, float]:
    """How many queries to answer now; 0 when there is nothing yet, with the time at which to ask again."""
    waiting = bisect_right(arrivals, now, done) - done
    if waiting == 0:
        return 0, arrivals[done]
    last = done + waiting == len(arrivals)
    if waiting < queue.sizes[-1] and not last and now < arrivals[done] + queue.max_delay:
        return 0, min(arrivals[done] + queue.max_delay, arrivals[done + waiting])
    return max((size for size in queue.sizes if size <= waiting), default=waiting), now  # too few for the smallest batch: it is filled up


def _simulated(times: Mapping[int, Array], queue: Queue, arrivals: Array, dice: np.random.Generator) -> Array:
    """What queries would wait, if every batch took one of its measured times."""
    answered, coming = np.empty(len(arrivals)), arrivals.tolist()
    taken, pick = {batch: each.tolist() for batch, each in times.items()}, Random(int(dice.integers(2**32))).choice
    now, done = 0.0, 0
    while done < len(coming):
        now = max(now, coming[done])
        ready, ask = _next(queue, coming, done, now)
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
    low = high / 1000
    for queries, halvings in zip(SIMULATED, (10, 4), strict=True):
        rhythm = np.cumsum(dice.exponential(1, queries))
        for _ in range(halvings):
            middle = (low * high) ** 0.5
            late = float((_simulated(times, queue, rhythm / middle, dice) > slo).mean())
            low, high = (middle, high) if late <= 1 - IN_TIME else (low, middle)
        found = low
        low, high = found / CLOSE, found * CLOSE
    return found


def typical_rhythm(times: Mapping[int, Array], queue: Queue, slo: float, rate: float, wanted: int, dice: np.random.Generator) -> Array:
    """When so many queries come, in mean gaps between them: of several traces that in which 1 of 100 is late at `rate`, or nearly."""
    allowed, found = 1 - IN_TIME, []
    for _ in range(max(2, min(TRACES, PLAYED // wanted))):
        trace = np.cumsum(dice.exponential(1, wanted))
        late = float((_simulated(times, queue, trace / rate, dice) > slo).mean())
        found.append((late > allowed, abs(late - allowed), trace))
    return min(found, key=lambda each: each[:2])[-1]


def _shown(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"
