"""Run a command and say what it cost: CPU seconds and the most memory of the whole process, libraries included."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LAUNCH = """
import json, os, resource, subprocess, sys, time
start = time.monotonic()
with open(sys.argv[1], "wb") as log:
    child = subprocess.Popen(sys.argv[4:], stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=sys.argv[3], start_new_session=True)
    try:
        code = child.wait(timeout=float(sys.argv[2]))
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, 9)
        child.wait()
        code = None
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([code, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, time.monotonic() - start]))
"""
"""A process as small as can be starts the command: what the system calls a child's most memory begins with that of its parent."""

CALLER = "subprocess.CalledProcessError"
"""Says only that something else failed."""
TIMED_OUT = "it did not end in time"


@dataclass(frozen=True)
class Cost:
    """What a command cost, and how it ended. Memory is that of its largest process."""

    code: int | None
    """None where it was ended for taking too long."""
    cpu: float
    """Seconds, of all processes."""
    peak: int
    """Bytes."""
    wall: float
    """Seconds."""
    why: str
    """Its last line of any weight, where it failed."""


def measured(command: Sequence[str], log: Path, *, limit: float, folder: Path | None = None) -> Cost:
    """Run `command` with its output in `log`, in `folder`, for at most `limit` seconds."""
    arguments = [str(log), str(limit), str(folder or log.parent), *command]
    done = subprocess.run([sys.executable, "-I", "-c", LAUNCH, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        return Cost(-1, 0.0, 0, 0.0, f"it was ended from outside: {last_words(done.stderr)}")
    code, cpu, peak, wall = json.loads(done.stdout)
    why = TIMED_OUT if code is None else last_words(log.read_text(encoding="utf-8", errors="replace")) if code else ""
    return Cost(code, cpu, peak, wall, why)


def last_words(text: str) -> str:
    """What went wrong, as a program's output tells it: its last error, or else its last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("hint:")]
    telling = [line for line in lines if "Error" in line.split(":")[0] and not line.startswith(("raise", "File", CALLER))]
    return (telling or lines or ["no word of why"])[-1][:300]
