"""How far work has come, on stderr: a bar with the time left at a terminal; in pipes and logs a line now and then, once it takes long."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from optkit.progress import Progress

SHOWN_AFTER = 1.0
"""Seconds: work that ends sooner shows nothing, so that a bar does not flash up."""
LINE_EVERY, SAME_EVERY = 10.0, 60.0
"""Seconds between lines of a log: of new work, and of work that goes on."""


@contextmanager
def progress_display(quiet: bool = False) -> Iterator["Progress"]:
    """A `(what, done, total)` to call as work goes on. Shows nothing when quiet; a bar at a terminal, else plain lines."""
    if quiet or os.environ.get("RANK", "0") != "0":  # one of several processes is enough
        yield lambda what, done, total: None
        return
    display = _Display() if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" else _Lines()
    try:
        yield display.update
    finally:
        display.close()


def say(text: str, verbose: bool) -> None:
    """A remark on stderr for those who asked for more."""
    if verbose:
        click.echo(text, err=True)


class _Lines:
    """What is being done, every ten seconds that it is something else, so that a log tells where a long run is."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.started, self.latest = time.monotonic(), ("", 0, 0)
        self.thread = threading.Thread(target=self._tell, daemon=True)
        self.thread.start()

    def update(self, what: str, done: int, total: int) -> None:
        self.latest = (what, done, total)

    def close(self) -> None:
        self.ended.set()
        self.thread.join()

    def _tell(self) -> None:
        told, at = "", self.started
        while not self.ended.wait(LINE_EVERY):
            now, (what, done, total) = time.monotonic(), self.latest
            if what and (what != told or now - at >= SAME_EVERY):
                click.echo(f"{now - self.started:5.0f} s  {what}" + (f", {done} of {total}" if total else ""), err=True)
                told, at = what, now


class _Display:
    """One bar at a time. It appears from a timer, so that one long piece of work without updates shows too."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.timer: threading.Timer | None = None
        self.bars: Bars | None = None
        self.bar: TaskID | None = None
        self.latest = ("", 0, 0)
        self.closed = False

    def update(self, what: str, done: int, total: int) -> None:
        with self.lock:
            renewed = what != self.latest[0]
            self.latest = (what, done, total)
            if self.timer is None:
                self.timer = threading.Timer(SHOWN_AFTER, self._show)
                self.timer.daemon = True
                self.timer.start()
            if self.bars is not None and self.bar is not None:
                if renewed:  # a bar of its own: the time left is that of this piece of work, and so is how much there is
                    self.bars.remove_task(self.bar)
                    self.bar = self.bars.add_task(what, completed=done, total=total or None)
                else:
                    self.bars.update(self.bar, completed=done, total=total or None)

    def close(self) -> None:
        with self.lock:
            self.closed = True
            if self.timer is not None:
                self.timer.cancel()
            if self.bars is not None:
                self.bars.stop()

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeRemainingColumn
        from rich.text import Text

        class Counted(MofNCompleteColumn):
            def render(self, task: Task) -> Text:
                return Text("") if task.total is None else super().render(task)

        columns = (TextColumn("{task.description}"), BarColumn(), Counted(), TimeRemainingColumn())
        with self.lock:
            if self.closed:
                return
            self.bars = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False)
            what, done, total = self.latest
            self.bar = self.bars.add_task(what, completed=done, total=total or None)
            self.bars.start()
