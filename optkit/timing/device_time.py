"""How long a CUDA device itself works on an answer, by events in the stream that the model's kernels go into."""

import logging
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from optkit.arrays import Array
from optkit.runtimes.cuda_driver import Driver, DriverError, Stream
from optkit.runtimes.onnxruntime import OnnxSession

log = logging.getLogger(__name__)

WARM_UP = 0.1
"""Seconds of answers that are not counted: memory is taken and kernels are chosen in them, and an idle device raises its clocks."""
SECONDS, FEWEST, MOST = 0.1, 5, 100
"""Of answers that are timed, and how many at least and at most."""


@contextmanager
def stream_of(index: int | None) -> Iterator[Stream | None]:
    """A stream of that device, in which a model can be opened so that it can be timed; None where there is no driver for it."""
    with ExitStack() as held:
        stream = None
        if index is not None:
            try:
                stream = held.enter_context(Driver(index).stream())
            except DriverError as error:
                log.debug("no device time: %s", error)
        yield stream


def device_time(session: OnnxSession, stream: Stream, feed: Mapping[str, Array]) -> float | None:
    """Seconds of the device for one answer of a session in that stream, the median of many; None where its values cannot be bound.

    It does not wait for the CPU to start its work, unless the CPU computes nodes in between or there are some thousand kernels.
    """
    try:
        queued = session.queue(feed)
        return None if queued is None else _median(queued, stream)
    except Exception as error:  # ONNX Runtime's have no common ancestor; what was measured besides must not be lost
        log.debug("no device time: %s", error)
        return None


def _median(queued: Callable[[], None], stream: Stream) -> float:
    warm = time.perf_counter() + WARM_UP
    while time.perf_counter() < warm:
        stream.seconds(queued, held=False)
    found: list[float] = []
    while len(found) < FEWEST or (sum(found) < SECONDS and len(found) < MOST):
        found.append(stream.seconds(queued))
    return statistics.median(found)
