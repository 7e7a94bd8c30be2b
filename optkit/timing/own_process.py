"""A model that is timed in a process of its own, where no other model's threads, memory or libraries touch it."""

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from optkit.arrays import Array
from optkit.formats.torch_origin import trusted
from optkit.timing.clocks import Clock
from optkit.timing.processes import command, failed, store_feeds, surroundings


class OwnProcess:
    """The parent's side of a lane; the other side is `optkit.timing._worker`.

    Raises what the model raises there, and ModelError when the process itself dies.
    """

    def __init__(
        self,
        model: Path,
        feeds: Sequence[Mapping[str, Array]],
        device: str,
        threads: int,
        clock: Clock = "wall",
        *,
        all_feeds: bool = False,
    ) -> None:
        self.model = model
        self._count = 0
        self.cpu = 0.0
        self.openings = 0
        self._folder = tempfile.TemporaryDirectory(prefix="optkit-")
        stored, self._errors = Path(self._folder.name) / "feeds.npz", Path(self._folder.name) / "stderr"
        store_feeds(stored, feeds)
        request = {"model": str(model.absolute()), "feeds": str(stored), "all_feeds": all_feeds}
        request |= {"device": device, "threads": threads, "clock": clock}
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                command("optkit.timing._worker", {**request, "factories": trusted()}),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=surroundings(),
                text=True,
            )

    @property
    def feeds(self) -> int:
        return self._count

    @property
    def number(self) -> int:
        """The operating system's number of the process."""
        return self._process.pid

    def get_ready(self) -> None:
        """Wait until the libraries are loaded: that is no part of opening a model, and happens once."""
        self.open()
        self.close()
        self.openings = 0

    def open(self) -> float:
        self.openings += 1
        found = self._ask({"do": "open"})
        self._count = int(found["feeds"])
        return float(found["once"])

    def block(self, feed: int, repeats: int) -> Array:
        found = self._ask({"do": "block", "feed": feed, "repeats": repeats})
        self.cpu = float(found["cpu"])
        return np.asarray(found["times"])

    def close(self) -> None:
        self._ask({"do": "close"})

    def end(self) -> None:
        """End the process; it may have ended already."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):  # what was not sent when the process ended goes nowhere
                    stream.close()
        self._folder.cleanup()

    def _ask(self, what: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except OSError:  # it is gone
            answer = ""
        if not answer:
            code = self._process.wait()
            raise failed(code, self._errors.read_text(encoding="utf-8", errors="replace"), self.model)
        found: dict[str, Any] = json.loads(answer)
        return found
