"""Which variant is faster: all of them in turns, on the same inputs, in one measurement."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from optkit.runtimes import Session, open_session
from optkit.stats.interval import Interval
from optkit.stats.ratio import ratio_of_medians
from optkit.timing.clocks import Clock, timed_block
from optkit.timing.lanes import Calls, Here, Opener, opener
from optkit.timing.rounds import Rounds, time_rounds
from optkit.timing.typical import Typical, Wanted, typical

Feed = Mapping[str, np.ndarray[Any, np.dtype[Any]]]

JUDGED_SECONDS = 5.0
LEAST_JUDGED = 16
SURE = 0.005
"""Share by which every ratio may still be off when a race ends early: a quarter of what is called equally fast."""
ROUNDS = 9
"""Of a race at least."""
T_QUANTILE = 2.3
"""Standard errors in the half of a 95 % interval, of so many rounds."""
RACED = Wanted(alike=4, least=5, most=48, seconds=0.02)


def race(
    models: Sequence[Path], feeds: Sequence[Feed] | Typical, *, seconds: float, threads: int, device: str, seed: int
) -> list[Interval]:
    """Time of each model as a ratio of the first one's, with 95 % intervals; below 1 is faster.

    On one CPU thread only the time that it computes is counted, so that other load on the machine does not decide. Of `feeds` that are
    known to take unlike times (`Typical`) every model answers all in turn, and what counts is their total: that is what all the inputs
    which they stand for take, while the median of single answers would be that of one length alone. It takes so many `seconds`, or fewer
    where the rounds agree.
    """
    several = isinstance(feeds, Typical) and not feeds.alike
    given = feeds.feeds if isinstance(feeds, Typical) else feeds
    opened = [partial(open_session, m, device, threads) for m in models]
    openers = [all_at_once(each, given) if several else opener(each, given) for each in opened]
    times = time_rounds([Here(each, _clock(device, threads)) for each in openers], seconds=seconds, seed=seed, enough=agree)
    return [ratio_of_medians(times[0], each, seed) for each in times]


def agree(times: Rounds) -> bool:
    """Whether the rounds so far tell how many times as long as the first model each takes: more would not change what is made of it."""
    if len(times[0]) < ROUNDS:
        return False
    logs = np.log([[np.median(one) for one in rounds] for rounds in times])
    errors = (logs[1:] - logs[0]).std(axis=1, ddof=1) / np.sqrt(len(times[0]))
    return bool((T_QUANTILE * errors <= SURE).all())


def raced_feeds(session: Session, feeds: Sequence[Feed], device: str, threads: int) -> Typical:
    """Inputs for races, such that their total is that of all `feeds`, which the session has answered before."""
    return typical(session.run, feeds, RACED, _clock(device, threads))


def judged_feeds(session: Session, feeds: Sequence[Feed], device: str, threads: int) -> list[Feed]:
    """The first of `feeds`, as many as the session answers in a few seconds, since every variant answers them all; 16 in any case."""
    if len(feeds) <= LEAST_JUDGED:
        return list(feeds)
    session.run(feeds[0])  # a first call takes longer
    longest = max(float(timed_block(partial(session.run, feed), 1, _clock(device, threads))[0]) for feed in feeds[:2])
    return list(feeds[: max(LEAST_JUDGED, int(JUDGED_SECONDS / max(longest, 1e-9)))])


def all_at_once(opened: Callable[[], Session], feeds: Sequence[Feed]) -> Opener:
    """Opens a session of which one query is all feeds, one after the other."""

    def open_and_bind() -> Calls:
        session = opened()
        calls = [session.bind(feed) for feed in feeds]

        def answer_all() -> None:
            for call in calls:
                call()

        return [answer_all]

    return open_and_bind


def _clock(device: str, threads: int) -> Clock:
    return "thread" if threads == 1 and device == "cpu" else "wall"
