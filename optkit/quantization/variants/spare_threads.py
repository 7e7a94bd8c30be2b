"""Threads besides those of the model that help with what is not timed: calibrating, judging and learning."""

from collections.abc import Mapping
from functools import partial

from optkit.arrays import Array
from optkit.cores import usable_cores
from optkit.runtimes import Session
from optkit.timing.clocks import timed_block

WORTH = 0.003
"""Seconds an answer takes. Below this handing work to other threads takes what it saves."""
MOST = 8
"""Threads in all. An operator that works on one example has no more to share."""


def spare_threads(session: Session, feed: Mapping[str, Array], device: str, threads: int) -> int:
    """How many more threads help a model that `session` answers with `threads`."""
    if device != "cpu" or threads == 0:
        return 0
    session.run(feed)  # a first call takes longer
    seconds = float(timed_block(partial(session.run, feed), 1, "wall")[0])
    return max(0, min(usable_cores(), MOST) - threads) if seconds >= WORTH else 0
