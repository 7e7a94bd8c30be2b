"""Memory of this process, and of an NVIDIA device."""

import ctypes
import sys
from contextlib import suppress
from pathlib import Path

_STATUS = Path("/proc/self/status")


def resident() -> int:
    """Bytes of main memory that this process occupies now."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def forget_peak() -> None:
    """Let `peak` start from now; only Linux can."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak() -> int:
    """The most bytes of main memory that this process has occupied, since `forget_peak` or since it started."""
    if _STATUS.exists():
        for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def return_freed() -> None:
    """From now on large blocks that are freed go back to the system at once; by default glibc learns to keep them, in pieces."""
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):  # another C library
            ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE)


_MMAP_THRESHOLD = -3
_LARGE = 2**18


def nvidia_memory_used(index: int) -> int | None:
    """Bytes in use on an NVIDIA device by all processes, as CUDA counts devices; None without a driver or such a device."""
    from optkit.runtimes.cuda_driver import Driver, DriverError

    try:
        return Driver(index).memory_used()
    except DriverError:
        return None
