"""How many cores there are to compute on."""

import os


def usable_cores() -> int:
    """Those that this process may use, hyperthreads counted."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
