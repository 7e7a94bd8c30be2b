"""`DATA.yaml` beside the data: how it becomes arrays. Unknown keys and wrong values are errors that name the file."""

import difflib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from optkit.datasets._source import Source
from optkit.errors import DataError


class Sidecar(BaseModel):
    """The keys of one kind of data."""

    model_config = ConfigDict(frozen=True, extra="forbid")


S = TypeVar("S", bound=Sidecar)


def sidecar_path(source: Source) -> Path:
    """`photos/` → `photos.yaml`, `reviews.csv` → `reviews.yaml`."""
    path = Path(source.place)
    return path.parent / f"{path.name if path.is_dir() else path.stem}.yaml"


def read_sidecar(source: Source, kind: type[S]) -> S | None:
    """The sidecar of the data, or None where there is none. Raises DataError."""
    path = sidecar_path(source)
    if not path.exists():
        return None
    try:
        content = YAML(typ="safe", pure=True).load(path)
    except (YAMLError, OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"it cannot be read: {' '.join(str(error).split())}", where=str(path), hint="it is YAML: one `key: value` a line"
        ) from error
    try:
        return kind.model_validate({} if content is None else content)
    except ValidationError as error:
        raise _wrong(path, kind, error) from error


def _wrong(path: Path, kind: type[Sidecar], error: ValidationError) -> DataError:
    first: Any = error.errors()[0]
    key = str(first["loc"][0]) if first["loc"] else ""
    known = ", ".join(kind.model_fields)
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, kind.model_fields, n=1)
        hint = f"did you mean {near[0]!r}? known: {known}" if near else f"known: {known}"
        return DataError(f"unknown key {key!r}", where=str(path), hint=hint)
    if key not in kind.model_fields:
        return DataError("it is not a list of keys and values", where=str(path), hint=f"write `key: value` lines; known: {known}")
    message = first["msg"].removeprefix("Value error, ")
    return DataError(
        f"{key}: {first['input']!r}: {message[0].lower()}{message[1:]}",
        where=str(path),
        hint=f"{key}: {kind.model_fields[key].description}",
    )
