"""A bar for a person at a terminal, lines for a log once work takes long."""

import os
import subprocess
import sys
import time

import pytest

from optkit.commands import _progress
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


def test_short_work_tells_a_pipe_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with progress_display() as progress:
        progress("calibrating", 1, 2)
    assert capfd.readouterr() == ("", "")


def lines_of(works: list[tuple[str, int, int]], capfd: pytest.CaptureFixture[str], quiet: bool = False) -> list[str]:
    """What a pipe got: each piece of work waits for a line, but the last, which ends at once."""
    seen = ""
    with progress_display(quiet) as progress:
        for work in works[:-1]:
            progress(*work)
            end = time.monotonic() + (0.1 if quiet else 60)
            while work[0] not in seen and time.monotonic() < end:
                time.sleep(0.005)
                out, said = capfd.readouterr()
                assert out == ""
                seen += said
        progress(*works[-1])
    return (seen + capfd.readouterr().err).splitlines()


def test_long_work_tells_a_pipe_in_lines_what_it_is_at(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(_progress, "LINE_EVERY", 0.01)
    told = lines_of([("calibrating", 1, 4), ("thinking", 0, 0), ("", 0, 0)], capfd)
    assert [line.split(" s  ", 1)[1] for line in told] == ["calibrating, 1 of 4", "thinking"], "once each, while it is the same"
    assert all(float(line.split(" s  ")[0]) < 120 for line in told)
    assert lines_of([("calibrating", 1, 4), ("", 0, 0)], capfd, quiet=True) == []
    monkeypatch.setenv("RANK", "1")
    with progress_display() as progress:
        progress("training", 1, 4)
        time.sleep(0.05)
    assert capfd.readouterr() == ("", ""), "of several processes the first one tells"


def test_work_that_goes_on_is_told_again(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(_progress, "LINE_EVERY", 0.01)
    monkeypatch.setattr(_progress, "SAME_EVERY", 0.02)
    seen, end = "", time.monotonic() + 60
    with progress_display() as progress:
        progress("timing", 1, 30)
        while seen.count("timing, 1 of 30") < 2 and time.monotonic() < end:
            time.sleep(0.005)
            seen += capfd.readouterr().err
    assert seen.count("timing, 1 of 30") >= 2


def test_remarks_are_for_those_who_asked(capfd: pytest.CaptureFixture[str]) -> None:
    say("because", verbose=False)
    say("therefore", verbose=True)
    assert capfd.readouterr() == ("", "therefore\n")
