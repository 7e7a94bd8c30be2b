"""A model that is timed beside others: opened, asked in blocks, opened anew. Here it runs in this process."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from optkit.arrays import Array
from optkit.runtimes import Session
from optkit.timing.clocks import Clock, timed_block

Calls = Sequence[Callable[[], None]]
"""One model's queries, one for each feed."""
Opener = Callable[[], Calls]
"""Opens a model and binds its feeds; slow models may bind fewer than they were given."""

WARM_UP = 3
"""Runs of each query that are not counted: the first ones allocate memory."""
SLOW = 0.2
"""Seconds of warming up that are enough."""
MANY = 8
"""Queries of a block before which one more, not counted, costs little. The first finds the processor's caches full of another model's
data; where queries are short it would be all that the highest percentiles tell of."""


class Lane(Protocol):
    """One of several models that take turns."""

    @property
    def feeds(self) -> int:
        """How many different queries it has; known once it is open."""
        ...

    @property
    def cpu(self) -> float:
        """CPU seconds that all threads of the model's process took in all blocks so far."""
        ...

    @property
    def openings(self) -> int:
        """How often it was opened to be timed."""
        ...

    def open(self) -> float:
        """Open the model and warm it up; the seconds of one query, roughly."""
        ...

    def block(self, feed: int, repeats: int) -> Array:
        """The seconds of each of `repeats` queries in a row."""
        ...

    def close(self) -> None:
        """Let go of the model; it may be opened again."""
        ...

    def end(self) -> None:
        """Let go of everything."""
        ...


class Here:
    """A model that runs in this process."""

    def __init__(self, opener: Opener, clock: Clock = "wall") -> None:
        self.opener = opener
        self.clock: Clock = clock
        self.calls: Calls = ()
        self.cpu = 0.0
        self.openings = 0

    @property
    def feeds(self) -> int:
        return len(self.calls)

    def open(self) -> float:
        self.openings += 1
        self.calls = self.opener()
        return warm_up(self.calls[0])

    def block(self, feed: int, repeats: int) -> Array:
        if repeats >= MANY:
            self.calls[feed]()
        start = time.process_time()
        times = timed_block(self.calls[feed], repeats, self.clock)
        self.cpu += time.process_time() - start
        return times

    def close(self) -> None:
        self.calls = ()

    def end(self) -> None:
        self.close()


def opener(opened: Callable[[], Session], feeds: Sequence[Mapping[str, Array]], *, all_feeds: bool = False) -> Opener:
    """Opens a session and binds feeds to it, unless it has to be all of them fewer where even running them once takes long."""

    def open_and_bind() -> Calls:
        session, calls, start = opened(), [], time.perf_counter()
        for feed in feeds:
            calls.append(session.bind(feed))
            if not all_feeds and time.perf_counter() - start > SLOW:
                break
        return calls

    return open_and_bind


def warm_up(call: Callable[[], None]) -> float:
    """Run a query until it runs as it will; its seconds."""
    times: list[float] = []
    while len(times) < WARM_UP and sum(times) < SLOW:
        times += timed_block(call, 1).tolist()
    return min(times)
