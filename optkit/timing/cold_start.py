"""A process that opens one model, answers one batch and says what that took: `python -m optkit.timing.cold_start REQUEST`.

REQUEST is JSON: model, device, threads, feed (a file of `store_feeds` with one batch), warm (a tiny model with one input `x` of one
float) and factories (whose code may be run to make a PyTorch model).
The answer is one line of JSON on stdout. Only a process that does nothing else can tell a model's peak memory and its cold start.
"""

import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from optkit.errors import OptkitError
from optkit.formats import format_of
from optkit.formats.torch_origin import trusting
from optkit.runtimes import open_session
from optkit.runtimes.memory import forget_peak, nvidia_memory_used, peak, resident
from optkit.runtimes.onnxruntime import OnnxSession, open_onnx
from optkit.timing.device_time import device_time, stream_of
from optkit.timing.processes import REFUSED, stored_feeds, told


def cold_start(model: Path, warm: Path, device: str, threads: int, feed: dict[str, Any]) -> dict[str, float | int | None]:
    """Seconds to load and to the first answer, and bytes of memory for both. Raises as `open_onnx` and `OnnxSession.run` do."""
    # the runtime and the provider load their libraries with the first model, whichever it is
    index = _load_torch(device) if format_of(model) == "torch" else _load_libraries(warm, device, threads)
    device_before = None if index is None else nvidia_memory_used(index)
    with stream_of(index if format_of(model) == "onnx" else None) as stream:
        forget_peak()
        before, start = resident(), time.perf_counter()
        session = open_session(model, device, threads) if stream is None else open_onnx(model, device, threads, stream=stream.address)
        opened = time.perf_counter()
        session.run(feed)
        answered = time.perf_counter()
        device_after = None if index is None else nvidia_memory_used(index)
        found: dict[str, float | int | None] = {
            "load": opened - start,
            "first": answered - opened,
            "memory": max(0, peak() - before),
            "device_memory": None if device_before is None or device_after is None else max(0, device_after - device_before),
        }
        if stream is not None and isinstance(session, OnnxSession):
            found["device_time"] = device_time(session, stream, feed)
        del session  # before the stream that it works in
    return found


def _load_libraries(warm: Path, device: str, threads: int) -> int | None:
    """Number of the device whose own memory is to be read, if it has any."""
    session = open_onnx(warm, device, threads)
    session.run({"x": np.zeros(1, np.float32)})
    provider = session.provider
    return provider.index if provider.memory == "cuda" else None


def _load_torch(device: str) -> int | None:
    import torch

    torch.nn.Linear(1, 1).to(device)(torch.zeros(1, 1, device=device))
    return 0 if device == "cuda" else None


def main(request: str) -> int:
    """Do what `request` says; the exit code."""
    asked = json.loads(request)
    try:
        (feed,) = stored_feeds(Path(asked["feed"]))
        with ExitStack() as trust:
            for factory, folder in asked.get("factories", ()):
                trust.enter_context(trusting(factory, folder=folder))
            found = cold_start(Path(asked["model"]), Path(asked["warm"]), asked["device"], asked["threads"], feed)
    except OptkitError as error:
        print(told(error), file=sys.stderr)
        return REFUSED
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
