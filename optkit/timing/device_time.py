"""How long a CUDA device itself works on an answer, by events in the stream that the model's kernels go into."""

import logging
from collections.abc import Mapping
from pathlib import Path

from optkit.arrays import Array
from optkit.runtimes.cuda_driver import Driver, Stream
from optkit.runtimes.onnxruntime import open_onnx

log = logging.getLogger(__name__)

WARM_UP = 3
"""Answers that are not counted: memory is taken and kernels are chosen in them."""
SECONDS, MOST = 0.2, 100
"""Answers are queued behind one another for about so long, and so many at most: the device then does not wait for who asks."""


def device_time(model: Path, device: str, index: int, threads: int, feed: Mapping[str, Array]) -> float | None:
    """Seconds of the device for one answer, of many in a row; None where it cannot be told: no driver, or values that are not bound.

    Where the CPU computes nodes in between, the device waits for them, and that counts.
    """
    try:
        with Driver(index).stream() as stream:
            return _seconds(stream, model, device, threads, feed)
    except Exception as error:  # ONNX Runtime's have no common ancestor; what was measured besides must not be lost
        log.debug("no device time: %s", error)
        return None


def _seconds(stream: Stream, model: Path, device: str, threads: int, feed: Mapping[str, Array]) -> float | None:
    """With a session that is gone when this returns, before the stream that it works in."""
    queued = open_onnx(model, device, threads, stream=stream.address).queue(feed)
    if queued is None:
        return None
    once = [stream.seconds(queued) for _ in range(WARM_UP)][-1]
    count = max(1, min(MOST, int(SECONDS / max(once, 1e-6))))
    return stream.seconds(lambda: [queued() for _ in range(count)]) / count
