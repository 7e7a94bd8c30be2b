"""Sizes as people write them, as parameters of passes."""

from typing import Annotated

from pydantic import BeforeValidator

from optkit.errors import UsageError
from optkit.units import parse_bytes


def _bytes(value: object) -> object:
    try:
        return parse_bytes(value) if isinstance(value, str) else value
    except UsageError as error:
        raise ValueError(str(error)) from error


Bytes = Annotated[int, BeforeValidator(_bytes, json_schema_input_type=int | str)]
"""A number of bytes, or text such as `2GB`."""
