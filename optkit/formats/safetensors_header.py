"""The header of a safetensors file: eight bytes of length, then JSON; text that stands beside the tensors can be read and changed here."""

import hashlib
import json
import shutil
from io import BufferedReader
from pathlib import Path
from typing import Any

from optkit.errors import ModelError

LENGTH = 8
METADATA = "__metadata__"
LARGEST = 100_000_000
"""Bytes of a header that the format allows."""


def read_metadata(path: Path) -> dict[str, str]:
    """The text in a file beside its tensors. Raises ModelError."""
    with _opened(path) as file:
        return dict(_header(file, path).get(METADATA) or {})


def read_sizes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor by name. Raises ModelError."""
    with _opened(path) as file:
        header = _header(file, path)
    return {name: tuple(facts["shape"]) for name, facts in header.items() if name != METADATA}


def write_metadata(path: Path, changes: dict[str, str | None]) -> None:
    """Set entries of the text, or take out those that are None; the tensors stay as they are."""
    aside = path.with_name(f"{path.name}.new")
    with _opened(path) as file, aside.open("wb") as out:
        header = _header(file, path)
        kept = {**(header.get(METADATA) or {}), **changes}
        header[METADATA] = {name: text for name, text in sorted(kept.items()) if text is not None}
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % LENGTH)  # tensors start at a multiple of eight
        out.write(len(text).to_bytes(LENGTH, "little") + text)
        shutil.copyfileobj(file, out)
    aside.replace(path)


def digest_of_tensors(path: Path) -> str:
    """sha256 of everything after the header, and of what the header says of it. Raises ModelError."""
    with _opened(path) as file:
        header = {name: facts for name, facts in _header(file, path).items() if name != METADATA}
        total = hashlib.file_digest(file, "sha256")
    total.update(json.dumps(header, sort_keys=True).encode())
    return total.hexdigest()


def digest_of_file(path: Path) -> str:
    """sha256 of the whole file. Raises ModelError when it is missing, or called safetensors and is none."""
    with _opened(path) as file:
        if path.suffix == ".safetensors":
            _header(file, path)
            file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _opened(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise ModelError("there is no such file" if not path.exists() else "it cannot be read", where=str(path)) from error


def _header(file: BufferedReader, path: Path) -> dict[str, Any]:
    """Reads up to the first tensor."""
    length = int.from_bytes(file.read(LENGTH), "little")
    try:
        if not 2 <= length <= LARGEST:
            raise ValueError(length)
        header = json.loads(file.read(length))
        if not isinstance(header, dict):
            raise ValueError(header)
    except ValueError as error:
        hint = "check the download; it must be a .safetensors file"
        raise ModelError("this is not a safetensors file, or it is damaged or cut short", where=str(path), hint=hint) from error
    return header
