"""Write beside the final place, then rename: a file under its final name is always whole, whatever ends the process."""

import errno
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from optkit.errors import OptkitError, UsageError

PREFIX = ".optkit-draft"


def check_output(target: Path, source: Path | None = None, *, force: bool = False) -> None:
    """Refuse an output that cannot or must not be written, before any work is done. Raises UsageError."""
    if source is not None and source.exists() and target.exists() and target.samefile(source):
        raise UsageError("the output is the model that is read", where=str(target), hint="name another file with -o")
    if target.is_dir():
        raise UsageError("this is a folder, not a file name", where=str(target), hint=f"name a file in it, such as {target / 'model.onnx'}")
    if target.exists() and not force:
        raise UsageError("the file exists already", where=str(target), hint="replace it with --force, or name another with -o")
    check_folder(target.parent)


def check_folder(folder: Path) -> None:
    """Refuse a folder that is not there or cannot be written to. Raises UsageError."""
    if not folder.is_dir():
        what = "this is a file, not a folder" if folder.exists() else "there is no such folder"
        raise UsageError(what, where=str(folder), hint="make it first, or name another with -o")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError("no permission to write in this folder", where=str(folder), hint="name another with -o")


@contextmanager
def draft_folder(beside: Path) -> Iterator[Path]:
    """An empty folder on the same file system as `beside`, gone afterwards.

    Folders left by processes that were killed outright are removed on the way. A full disk or a folder that cannot be written
    becomes an OptkitError.
    """
    try:
        _sweep(beside)
        folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}-{_host()}-{os.getpid()}-", dir=beside))
    except OSError as error:
        raise disk_error(error, beside) from error
    with _removed(folder):
        yield folder


def publish(draft: Path, beside: Sequence[Path], target: Path) -> None:
    """Give a finished file its final name in one step; files that belong to it (`beside`, same folder) keep theirs and go first.

    Where such a file is about to be replaced, the old target goes before it: a model never stands with another model's weights.
    """
    for file in (draft, *beside):
        _flush(file)
    moves = [(file, target.parent / file.name) for file in beside]
    if any(place.exists() for _, place in moves):
        target.unlink(missing_ok=True)
    for file, place in moves:
        os.replace(file, place)
    os.replace(draft, target)


FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG})
FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def disk_error(error: OSError, place: Path) -> OptkitError:
    """What an operating system error means for the user."""
    if error.errno in FULL:
        return OptkitError("the disk is full, or the quota used up", where=str(place), hint="free some space, or write to another disk")
    if error.errno in FORBIDDEN:
        return UsageError("no permission to write here", where=str(place), hint="name another place with -o")
    named = str(error.filename or place)
    where = str(place) if PREFIX in named else named
    return OptkitError((error.strerror or str(error)).lower(), where=where, hint="check the path, or name another place with -o")


@contextmanager
def _removed(folder: Path) -> Iterator[None]:
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove what processes of this machine left when they were killed outright."""
    import psutil

    start = f"{PREFIX}-{_host()}-"
    for left in folder.glob(f"{start}*"):
        number = left.name.removeprefix(start).partition("-")[0]
        if number.isdecimal() and int(number) != os.getpid() and not psutil.pid_exists(int(number)):
            shutil.rmtree(left, ignore_errors=True)


def _host() -> str:
    return socket.gethostname().replace("-", "_")


def _flush(file: Path) -> None:
    with suppress(OSError), file.open("rb") as stream:  # some file systems cannot; the rename is atomic all the same
        os.fsync(stream.fileno())
