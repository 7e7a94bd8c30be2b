"""Queries come when they come: the highest rate at which 99 of 100 are answered in time."""

from collections.abc import Callable, Iterator, Sequence
from math import isfinite

import numpy as np

from optkit.arrays import Array
from optkit.errors import UsageError
from optkit.progress import Progress
from optkit.scenarios import Candidate, Figure, Outcome, Traffic
from optkit.scenarios._played import IN_TIME, rate_to_start, typical_rhythm
from optkit.scenarios._queue import Queue, runner, serve
from optkit.scenarios._rates import Rates
from optkit.stats.order import runs_needed
from optkit.stats.proportions import share_in_sequence
from optkit.timing.lanes import Calls, warm_up
from optkit.units import show_seconds

TIMINGS = 15
"""Of each batch size, for the rate to start with."""
FULL_TRIES = 6
"""Tries that last as long as they should, whose time a search may take; those that fail end sooner."""
ROUGHLY = 1 / 3
"""Of that time, for short tries at most."""
UNTIL_ONE_HOLDS = 2
"""Times as long, where no rate has held by then."""
MOST_TRIES = 40
VAGUE = 3
"""Times as many queries late as are allowed, that the interval reaches to, from which on it is worth a word."""
SETTLED = 10
"""Times the limit that a try lasts at least: in less a queue that grows without end would not show."""
LONGEST = 60.0
"""Seconds of one try: a rate whose 99 % takes longer to know than that is not tried."""
OTHER_RATE = 1.5
"""Times the rate that a rhythm is for, or a part of it, from which on it makes a try too short or too long."""


class Server:
    """Single queries arrive by chance (Poisson) and wait in one queue; one worker answers them in batches as they have gathered.

    The final result is the highest rate tried at which 99 of 100 queries were answered within `slo`, waiting included, and beside it the
    lowest that did not hold. Where to start is found by playing the queue through with measured batch times, which a busy machine makes
    too long or too short; so real queries are sent at that rate, at higher ones until one does not hold, or at lower ones until one
    does, and then at rates in between, until the two are near each other or the time is spent: first in short tries, then in long ones.
    As many are sent as the 99th percentile needs, in one rhythm: one in which about as many are late as in the long run, since the
    luckiest of several rhythms would promise too much. The models take turns try by try.
    """

    def run(
        self, models: Sequence[Candidate], traffic: Traffic, progress: Progress, interrupted: Callable[[], None] | None = None
    ) -> list[Outcome]:
        if traffic.slo is None:
            raise UsageError("the scenario server needs to know what is in time", hint="--slo 50ms")
        searches: list[_Search] = []
        try:
            for model in models:
                searches.append(_Search(model, traffic, traffic.slo, progress))
            while going := [each for each in searches if not each.is_over]:
                for each in going:
                    each.try_once()
        except KeyboardInterrupt:
            if interrupted is None or not any(each.knows_a_rate for each in searches):
                raise
            interrupted()
            return [each.outcome(interrupted=not each.is_over) for each in searches] + [NOT_REACHED] * (len(models) - len(searches))
        return [each.outcome() for each in searches]


NOT_REACHED = Outcome((), ("it was interrupted before a rate held",))


class _Search:
    """One model's tries."""

    def __init__(self, model: Candidate, traffic: Traffic, slo: float, progress: Progress) -> None:
        self.name, self.slo, self.progress = model.name, slo, progress
        self.full = max(traffic.seconds, SETTLED * slo)
        self.seconds = self.full
        """Of a try."""
        opened: dict[int, Calls] = {batch: model.opener(batch)() for batch in sorted(model.batches)}
        for calls in opened.values():
            warm_up(calls[0])
        self.queue, self.run = Queue(tuple(opened), traffic.max_delay), runner(opened)
        timed = {batch: np.array([self.run(batch) for _ in range(TIMINGS)]) for batch in opened}
        self.hopeless = single_takes_too_long(slo) if float(np.median(timed[self.queue.sizes[0]])) > slo else ""
        self.times = {batch: _without_stalls(each, slo) for batch, each in timed.items()}
        self.dice = np.random.default_rng(traffic.seed)
        self.tries, self.spent = 0, 0.0
        self.waits: Array = np.zeros(0)
        """At the highest rate that held."""
        if self.hopeless:
            return
        self.start = rate_to_start(self.times, self.queue, slo, self.dice)
        self.rates = self.rough = Rates(self.start)
        wanted = self._wanted(self.start)
        self.budget = FULL_TRIES * wanted / self.start
        if wanted / self.start > LONGEST:
            self.hopeless = too_slow(wanted)
            return
        if wanted > 2 * runs_needed(IN_TIME):  # short ones come first, to see roughly which rates hold
            self.seconds = max(self.full / FULL_TRIES, SETTLED * slo)
        self._find_rhythm()

    @property
    def knows_a_rate(self) -> bool:
        """That held, or that did not."""
        return not self.hopeless and (self.rates.held > 0 or self.rough.held > 0 or isfinite(self.rates.failed))

    @property
    def is_over(self) -> bool:
        if self.hopeless or self.tries >= MOST_TRIES or self.spent >= self.budget * (1 if self.rates.held else UNTIL_ONE_HOLDS):
            return True
        return self.rates.is_found and self.seconds >= self.full

    def try_once(self) -> None:
        """Send queries at the next rate. Raises KeyboardInterrupt, after it counted a try that was long enough by then."""
        if self.seconds < self.full and (self.rates.is_found or self.spent > self.budget * ROUGHLY):
            self._lengthen()
        rate = self.rates.rate
        if not 1 / OTHER_RATE < rate / self.rhythm_rate < OTHER_RATE:
            self._learn_times()
            self._find_rhythm()
        self.progress(f"{self.name}: {shown(rate)} queries a second", self.tries, 0)
        most_late = (1 - IN_TIME) * len(self.rhythm)
        served = serve(self.run, self.queue, self.rhythm / rate, self.slo, most_late)
        self.tries += 1
        self.spent += served.seconds
        self.taken = served.taken
        answered, late = len(served.waits), int((served.waits > self.slo).sum())
        if served.interrupted:
            settled = answered >= max(runs_needed(IN_TIME), SETTLED * self.slo * rate)
            if settled and late <= (1 - IN_TIME) * answered and not self.rates.failures:
                self._note(rate, served.waits)
            raise KeyboardInterrupt
        if late <= most_late:
            self._note(rate, served.waits)
        else:
            self.rates.note(False, answered / served.seconds)

    def _note(self, rate: float, waits: Array) -> None:
        self.rates.note(True)
        if self.rates.held == rate:
            self.waits = waits

    def outcome(self, *, interrupted: bool = False) -> Outcome:
        if self.hopeless:
            return Outcome((), (self.hopeless,))
        rates = self.rough if interrupted and not self.rates.held else self.rates
        if rates.held:
            high = rates.failed if isfinite(rates.failed) else None
            return Outcome(_figures(rates.held, high, self.waits, self.slo), tuple(self._notes(rates, interrupted)))
        if interrupted:
            lowest = f"; {shown(rates.failed)} a second did not hold" if isfinite(rates.failed) else ""
            return Outcome((), (f"it was interrupted before a rate held{lowest}",))
        return Outcome((), (f"no rate that was tried held, down to {shown(rates.failed)} a second: the machine may be busy",))

    def _notes(self, rates: Rates, interrupted: bool) -> Iterator[str]:
        ended = "it was interrupted" if interrupted else f"the search ended after {self.spent:.0f} s of queries"
        if isfinite(rates.failed):
            yield "the rate's range is no 95 % interval: the highest tried that held, and the lowest that did not"
        if not isfinite(rates.failed):
            yield f"{ended}, and no rate had failed: the highest may be higher"
        elif interrupted:
            yield "it was interrupted: this is what had held by then"
        elif not rates.is_found:
            yield f"{ended}: more --time brings the two closer"
        late = share_in_sequence(self.waits > self.slo)
        if late.high > VAGUE * (1 - IN_TIME):
            yield f"up to {late.high:.1%} may be late at this rate: more --time tells it better"

    def _wanted(self, rate: float) -> int:
        return max(runs_needed(IN_TIME), round(rate * self.seconds))

    def _lengthen(self) -> None:
        """From now on tries last as long as they should; what held in short ones is where they start, and counts for no more."""
        self.seconds, self.rates = self.full, Rates(self.rough.held or self.rough.rate)
        self._find_rhythm()

    def _learn_times(self) -> None:
        """What batches took in the last try: what was measured before led to a rate that is far off."""
        self.times |= {batch: np.array(each) for batch, each in self.taken.items() if len(each) >= TIMINGS}
        self.start = rate_to_start(self.times, self.queue, self.slo, self.dice)

    def _find_rhythm(self) -> None:
        """One that is typical at the rate to start with, as playing the queue through says; at others its gaps are longer or shorter."""
        self.rhythm_rate = self.rates.rate
        self.rhythm = typical_rhythm(self.times, self.queue, self.slo, self.start, self._wanted(self.rhythm_rate), self.dice)


def _without_stalls(times: Array, slo: float) -> Array:
    """Times that let no rate hold are left out where most do: one of so few is a busy machine's, and says nothing of one in a hundred."""
    return times[times <= slo] if float(np.median(times)) <= slo else times


def _figures(rate: float, failed: float | None, waits: Array, slo: float) -> tuple[Figure, ...]:
    late = share_in_sequence(waits > slo)
    return (
        Figure("queries_per_second", "1/s", rate, None if failed is None else rate, failed, len(waits)),
        Figure("late", "ratio", late.value, late.low, late.high, len(waits)),
        Figure("latency_p99", "s", float(np.quantile(waits, IN_TIME, method="inverted_cdf")), None, None, len(waits)),
        Figure("latency_p50", "s", float(np.median(waits)), None, None, len(waits)),
    )


def single_takes_too_long(slo: float) -> str:
    return f"a single query takes longer than {show_seconds(slo)}, so no rate can hold"


def too_slow(queries: int) -> str:
    return f"it is too slow for {queries:,} queries in {LONGEST:.0f} s, which the 99th percentile needs"


def shown(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"
