"""What else the machine did while models were timed: other programs, the host of a virtual machine, a clock that slows down."""

import os
import time
from collections.abc import Callable

import psutil

from optkit.measure import Conditions


class Watch:
    """Reads the machine's counters from its making to `found`; `look` in between notes the processor's clock."""

    def __init__(self, processes: Callable[[], list[int]]) -> None:
        self.processes = processes
        """Numbers of the processes that models run in, besides this one."""
        self.start = time.perf_counter()
        self.before = psutil.cpu_times()
        self.own_before = 0.0
        self.own_before = self._own()
        self.clocks: list[float] = []

    def look(self) -> None:
        """Note the clock now."""
        clock = _clock()
        if clock:
            self.clocks.append(clock)

    def found(self, rounds: int, openings: int) -> Conditions:
        took, after = time.perf_counter() - self.start, psutil.cpu_times()
        capacity = max(took * (os.cpu_count() or 1), 1e-9)
        busy = _busy(after) - _busy(self.before)
        stolen = getattr(after, "steal", 0.0) - getattr(self.before, "steal", 0.0)
        return Conditions(
            rounds=rounds,
            seconds=took,
            others=min(1.0, max(0.0, busy - self._own()) / capacity),
            stolen=min(1.0, max(0.0, stolen) / capacity),
            slowest_clock=min(self.clocks) / max(self.clocks) if self.clocks else None,
            openings=openings,
        )

    def _own(self) -> float:
        """CPU seconds of this process and those that models run in, since the watch began."""
        spent = sum(psutil.Process().cpu_times()[:4])  # its own, and that of processes that have ended
        for number in self.processes():
            try:
                spent += sum(psutil.Process(number).cpu_times()[:2])
            except psutil.Error:  # it is gone
                continue
        return float(spent) - self.own_before


def _busy(times: object) -> float:
    """Seconds in which some processor of this machine computed."""
    return float(sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq")))


def _clock() -> float | None:
    """MHz of the processors now, where the system tells; virtual machines mostly do not."""
    try:
        found = psutil.cpu_freq()
    except (OSError, NotImplementedError, RuntimeError):
        return None
    return float(found.current) if found is not None and found.current else None
