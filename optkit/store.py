"""Finished steps, kept by what went into them: the same step on the same model is not computed twice.

One folder per key, written aside and renamed, so that several processes may share a store. The least recently used go when it grows
beyond its limit.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

DEFAULT_LIMIT = 5 * 10**9
_FACTS = "facts.json"
_UNFINISHED = "unfinished"
_README = "Models that optkit made, kept so that a step is not computed twice. It may be deleted at any time: `optkit cache --clear`.\n"


def default_place() -> Path:
    """`$OPTKIT_CACHE`, or the folder that the system has for such things."""
    if given := os.environ.get("OPTKIT_CACHE"):
        return Path(given).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "optkit" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "optkit"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "optkit"


@dataclass(frozen=True)
class Entry:
    """One kept step."""

    key: str
    folder: Path
    size: int
    """Bytes, weights beside the model included."""
    used: float
    """When it was last of use: seconds since 1970."""


@dataclass(frozen=True)
class Store:
    """A folder of kept steps. It never fails a run: what cannot be read or kept is computed again."""

    place: Path
    limit: int = DEFAULT_LIMIT
    """Bytes."""

    def facts(self, key: str) -> str | None:
        """The facts kept under `key`; None where there are none."""
        try:
            return (self.place / key / _FACTS).read_text(encoding="utf-8")
        except OSError:
            return None

    def take(self, key: str, into: Path) -> str | None:
        """Copy the files kept under `key` to the folder `into` and return the facts kept with them; None where there are none."""
        folder, facts = self.place / key, self.facts(key)
        if facts is None:
            return None
        try:
            for file in folder.iterdir():
                if file.name != _FACTS:
                    shutil.copyfile(file, into / file.name)
            os.utime(folder / _FACTS)
        except OSError:
            return None
        return facts

    def keep(self, key: str, files: Sequence[Path], facts: str) -> None:
        """Keep copies of `files` with their facts under `key`, then drop the least recently used beyond the limit."""
        if sum(file.stat().st_size for file in files) > self.limit:
            return
        with suppress(OSError):
            self.place.mkdir(parents=True, exist_ok=True)
            (self.place / "README.txt").write_text(_README, encoding="utf-8")
            aside = Path(tempfile.mkdtemp(prefix="new-", dir=self.place))
            try:
                for file in files:
                    shutil.copyfile(file, aside / file.name)
                (aside / _FACTS).write_text(facts, encoding="utf-8")
                aside.rename(self.place / key)  # fails when another process was first: theirs is as good
            finally:
                shutil.rmtree(aside, ignore_errors=True)
            self._shrink()

    def drop(self, key: str) -> None:
        """Forget one step: what was kept is damaged."""
        shutil.rmtree(self.place / key, ignore_errors=True)

    def unfinished(self, key: str) -> Path:
        """Where a step keeps what it can go on from when it is interrupted; made by whoever uses it, and gone once the step is done."""
        return self.place / _UNFINISHED / key

    def entries(self) -> tuple[Entry, ...]:
        """What is kept, most recently used first."""
        found = [_entry(facts.parent) for facts in self.place.glob(f"*/{_FACTS}")]
        return tuple(sorted((entry for entry in found if entry), key=lambda entry: -entry.used))

    def clear(self) -> int:
        """Forget everything; the number of bytes that this freed. Touches nothing that is not ours."""
        entries = self.entries()
        for entry in entries:
            self.drop(entry.key)
        unfinished = [file for file in (self.place / _UNFINISHED).rglob("*") if file.is_file()]
        freed = sum(entry.size for entry in entries) + sum(file.stat().st_size for file in unfinished)
        for left in (*self.place.glob("new-*"), self.place / _UNFINISHED):
            shutil.rmtree(left, ignore_errors=True)
        return freed

    def _shrink(self) -> None:
        total = 0
        for entry in self.entries():
            total += entry.size
            if total > self.limit:
                self.drop(entry.key)


def _entry(folder: Path) -> Entry | None:
    try:
        size = sum(file.stat().st_size for file in folder.iterdir())
        return Entry(folder.name, folder, size, (folder / _FACTS).stat().st_mtime)
    except OSError:  # another process is clearing
        return None
