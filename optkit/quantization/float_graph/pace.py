"""Whether a rewritten float graph takes longer than what it was made from: kernels like some shapes less than others."""

from collections.abc import Mapping
from functools import partial

from optkit.arrays import Array
from optkit.runtimes import Session
from optkit.timing.clocks import Clock, timed_block

ROUNDS = 5
"""In which both sessions answer in turn; the least time of each counts."""
SURE = 2
"""Rounds that are enough where there is nothing to see."""
SLOWER = 1.15
"""Times the original's, from which it is not luck: two sessions of one file may differ by a tenth."""
UNSEEN = 3e-5
"""Seconds that are not worth a look: what small graphs differ by from call to call."""


def pace(before: Session, after: Session, feed: Mapping[str, Array], clock: Clock) -> float:
    """The time of `after` over that of `before`, both of which have answered before; 1 where there is next to nothing between them."""
    least = [float("inf"), float("inf")]
    for done in range(ROUNDS):
        for place, session in enumerate((before, after)):
            least[place] = min(least[place], float(timed_block(partial(session.run, feed), 1, clock)[0]))
        if done + 1 >= SURE and least[1] <= least[0] + UNSEEN:
            return min(least[1] / least[0], 1.0) if least[0] else 1.0
    return least[1] / least[0]
