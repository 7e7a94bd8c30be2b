"""A bar for a person at a terminal, nothing for a pipe."""

import os
import subprocess
import sys

import pytest

from optkit.commands._progress import progress_display, say

from .rooms import read_terminal

pty = pytest.importorskip("pty", reason="needs a pseudo terminal")

WORK = """
import sys, time
from optkit.commands import _progress
_progress.SHOWN_AFTER = float(sys.argv[1])
with _progress.progress_display(quiet=sys.argv[2] == "quiet") as progress:
    progress("calibrating", 0, 4)
    end = time.monotonic() + float(sys.argv[3])
    while time.monotonic() < end and getattr(getattr(progress, "__self__", None), "bar", None) is None:
        time.sleep(0.02)
    for done in (1, 2):
        progress("calibrating", done, 4)
    progress("comparing", 1, 8)
    time.sleep(0.2)
    progress("thinking", 0, 0)
    time.sleep(0.2)
print("rich" in sys.modules)
"""


def at_a_terminal(shown_after: float, quiet: str = "", patience: float = 60, **environment: str) -> tuple[str, str]:
    """stdout, and what a terminal got from stderr, of work that waits so many seconds for a bar: a busy machine shows it late."""
    ours, theirs = pty.openpty()
    settings = {**os.environ, "TERM": "xterm", "COLUMNS": "100", **environment}
    line = [sys.executable, "-c", WORK, str(shown_after), quiet, str(patience)]
    done = subprocess.run(line, stdout=subprocess.PIPE, stderr=theirs, text=True, check=True, env=settings)
    os.close(theirs)
    return done.stdout, read_terminal(ours)


@pytest.mark.slow
def test_long_work_shows_what_is_done_and_how_far_it_is() -> None:
    out, seen = at_a_terminal(0.05)
    assert "calibrating" in seen
    assert "comparing" in seen
    assert "1/8" in seen
    assert out == "True\n"


@pytest.mark.slow
def test_work_of_unknown_length_counts_nothing_and_not_what_the_work_before_it_had() -> None:
    _, seen = at_a_terminal(0.05)
    assert "thinking" in seen
    thinking = seen[seen.index("thinking") :]
    assert "/8" not in thinking
    assert "/?" not in thinking


@pytest.mark.slow
def test_colour_can_be_declined() -> None:
    _, seen = at_a_terminal(0.05, NO_COLOR="1")
    assert "comparing" in seen
    assert "\x1b[3" not in seen


@pytest.mark.slow
@pytest.mark.parametrize(("shown_after", "quiet", "term"), [(30, "", "xterm"), (0.05, "quiet", "xterm"), (0.05, "", "dumb")])
def test_short_or_quiet_work_shows_nothing_and_does_not_load_rich(shown_after: float, quiet: str, term: str) -> None:
    assert at_a_terminal(shown_after, quiet, 0.3, TERM=term) == ("False\n", "")


def test_a_pipe_gets_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with progress_display() as progress:
        progress("calibrating", 1, 2)
    assert capfd.readouterr() == ("", "")


def test_remarks_are_for_those_who_asked(capfd: pytest.CaptureFixture[str]) -> None:
    say("because", verbose=False)
    say("therefore", verbose=True)
    assert capfd.readouterr() == ("", "therefore\n")
