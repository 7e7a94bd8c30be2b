"""Sizes and shares as people write them, as parameters of passes."""

from collections.abc import Callable
from typing import Annotated

from pydantic import BeforeValidator

from optkit.errors import UsageError
from optkit.units import parse_bytes, parse_ratio


def _read_by(parse: Callable[[str], float]) -> Callable[[object], object]:
    def read(value: object) -> object:
        try:
            return parse(value) if isinstance(value, str) else value
        except UsageError as error:
            raise ValueError(str(error)) from error

    return read


Bytes = Annotated[int, BeforeValidator(_read_by(parse_bytes), json_schema_input_type=int | str)]
"""A number of bytes, or text such as `2GB`."""
Share = Annotated[float, BeforeValidator(_read_by(parse_ratio), json_schema_input_type=float | str)]
"""A share of 1, or text such as `8%`."""
