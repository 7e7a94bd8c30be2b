"""Frozen dataclasses to JSON and back; pydantic does the work and is imported only when it is needed."""

from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")


def _adapter(record: Any) -> "TypeAdapter[Any]":
    return _made_once(record)


@cache
def _made_once(record: Any) -> "TypeAdapter[Any]":
    from pydantic import ConfigDict, TypeAdapter, with_config

    if not hasattr(record, "__pydantic_config__"):
        with_config(ConfigDict(ser_json_inf_nan="strings"))(record)
    return TypeAdapter(record)


def write_record(record: object, indent: int | None = 2) -> str:
    """A record as JSON text; numbers that JSON has no word for are written as "NaN", "Infinity" and "-Infinity", and read back."""
    return _adapter(type(record)).dump_json(record, indent=indent).decode()


def plain(record: object) -> Any:
    """A record as dicts, lists, strings and numbers."""
    return _adapter(type(record)).dump_python(record, mode="json")


def read_record(kind: type[T], text: str | bytes) -> T:
    """A record of `kind` from JSON text. Raises pydantic.ValidationError when the text does not fit."""
    record: T = _adapter(kind).validate_json(text)
    return record
