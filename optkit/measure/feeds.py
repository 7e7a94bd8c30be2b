"""One batch of examples as each model wants it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from optkit.arrays import Array
from optkit.datasets import Examples
from optkit.errors import UsageError
from optkit.runtimes import Port, Session
from optkit.timing.clocks import Clock
from optkit.timing.rounds import SHORTEST_BLOCK
from optkit.timing.typical import EXAMINED, Typical, Wanted, typical

Feed = dict[str, Array]

TIMED = 4
"""Different feeds that are timed."""
FEWEST_MIXED, MOST_MIXED = 3, 15
"""The same where a model takes longer for some than for others."""
SHARE = 0.01
"""Of the time for timing, that these may take once if they are more than the fewest: more, and models could not be opened anew."""


def check_batch(batch: int, examples: Examples, session: Session, name: str) -> None:
    """Raise UsageError when a model, or the examples, cannot be had at this batch size."""
    if batch < 1:
        raise UsageError(f"--batch {batch} is no batch size", hint="1 or more")
    if examples.whole:
        if batch != 1:
            hint = "leave --batch out: each example says its own batch size"
            raise UsageError(f"--batch {batch}: the examples of {examples.source} are whole feeds, which run one by one", hint=hint)
        return
    for port in session.inputs:
        fixed = port.shape[0] if port.shape else None
        if isinstance(fixed, int) and fixed != batch:
            what = f"--batch {batch}: {name} is made for batches of {fixed} (input {port.name!r})"
            raise UsageError(what, hint=f"--batch {fixed}, or export it with a free batch dimension")


def batches_of(examples: Examples, batch: int, fixed: bool) -> Iterator[tuple[slice, Feed]]:
    """Each batch with the rows it answers; the last one is filled up with repeats where the model wants batches of one size."""
    size = 1 if examples.whole else batch
    for number, feed in enumerate(examples.feeds(batch)):
        start = number * size
        rows = slice(start, min(start + size, len(examples)))
        if fixed and rows.stop - start < size:
            feed = {name: np.resize(array, (size, *array.shape[1:])) for name, array in feed.items()}
        yield rows, feed


def timed_feeds(examples: Examples, batch: int, most: int = TIMED) -> list[Feed]:
    """A few full batches from all over the examples, repeating examples where there are too few."""
    wanted = min(most, max(1, len(examples) // batch)) * batch
    rows = np.resize(np.linspace(0, len(examples) - 1, min(wanted, len(examples))).round().astype(np.int64), wanted)
    return list(examples.take(rows).feeds(batch))


def typical_feeds(session: Session, examples: Examples, batch: int, seconds: float, clock: Clock = "wall") -> Typical:
    """The feeds to time: where the model takes longer for some examples than for others, in such a mix as the examples have.

    `seconds` are for timing.
    """
    feeds = timed_feeds(examples, batch, EXAMINED)

    def answer(feed: Mapping[str, Array]) -> object:
        return session.run(fitted(feed, session.inputs))

    answer(feeds[0])  # what the first call of this size allocates is no time of its feed
    most = int(np.clip(SHARE * seconds / SHORTEST_BLOCK, FEWEST_MIXED, MOST_MIXED))  # each is timed for a block in every round
    found = typical(answer, feeds, Wanted(TIMED, FEWEST_MIXED, most, SHARE * seconds), clock)
    return replace(found, feeds=tuple(timed_feeds(examples, batch))) if found.alike else found


def fitted(feed: Mapping[str, Array], inputs: Sequence[Port]) -> Feed:
    """The feed for a model whose inputs may be of another precision than the data, or fewer."""
    ports = {port.name: port for port in inputs}
    return {name: _cast(array, ports[name].dtype) for name, array in feed.items() if name in ports}


def is_fixed(session: Session) -> bool:
    """Whether a model takes batches of one size only."""
    return any(port.shape and isinstance(port.shape[0], int) for port in session.inputs)


def _cast(array: Array, dtype: str) -> Array:
    floats = array.dtype.kind == "f" and dtype.startswith("float")
    integers = array.dtype.kind in "iu" and dtype in ("int32", "int64")
    return array.astype(dtype) if (floats or integers) and array.dtype.name != dtype else array
