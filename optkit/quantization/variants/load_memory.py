"""What a file of stored 8-bit weights needs while it is opened: the runtime turns them into floats then, and holds both for a moment."""

import subprocess
import sys
from pathlib import Path

from optkit.units import show_bytes

LEAST = 10 << 20
"""Bytes of a model for which memory is worth a word."""
MORE = 1.1
"""Times the original's peak from which it is told."""
OPENS = """
import sys
import onnxruntime
from optkit.runtimes.memory import forget_peak, peak, resident
from optkit.runtimes.onnxruntime import open_onnx
from pathlib import Path
forget_peak()
before = resident()
session = open_onnx(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
print(peak() - before)
"""


def loading_remark(original: Path, made: Path, size: int, device: str, threads: int) -> str | None:
    """A sentence where `made` needs more memory while it loads than `original`, of `size` bytes; None where not, or where it is small."""
    if size < LEAST:
        return None
    before, after = (_peak(path, device, threads) for path in (original, made))
    if not before or not after or after <= MORE * before:
        return None
    return (
        f"loading it takes {show_bytes(after)} of memory for a moment, the original {show_bytes(before)}: "
        "the runtime turns the stored weights into floats"
    )


def _peak(model: Path, device: str, threads: int) -> int | None:
    """Bytes that a process of its own takes at most while it opens a model; None where it cannot be told."""
    command = [sys.executable, "-c", OPENS, str(model), device, str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return int(done.stdout) if done.returncode == 0 and done.stdout.strip().isdecimal() else None
