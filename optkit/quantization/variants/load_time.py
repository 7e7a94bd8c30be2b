"""How long a program waits until a model is open: the runtime fuses integers, and lays weights out, each time it opens one."""

import time
from collections.abc import Callable
from pathlib import Path

from optkit.runtimes import open_session
from optkit.units import show_seconds

LONGER = 1.5
"""Times as long, from which it is told."""
NOTICED = 0.2
"""Seconds more."""


def waiting_remark(original: Path, made: Path, opens: Callable[[Path], float]) -> str | None:
    """A sentence where `made` takes notably longer to open than `original`; `opens` says how many seconds a file takes."""
    turns = [[opens(path) for path in (original, made)] for _ in range(2)]
    before, after = (min(turn[i] for turn in turns) for i in range(2))
    if after <= LONGER * before or after - before <= NOTICED:
        return None
    return f"opening it takes {show_seconds(after)}, the original {show_seconds(before)}: what answers once and ends waits longer"


def seconds_to_open(device: str, threads: int) -> Callable[[Path], float]:
    """What opens a file on a device and says how long that took."""

    def opens(path: Path) -> float:
        start = time.perf_counter()
        open_session(path, device, threads)
        return time.perf_counter() - start

    return opens
