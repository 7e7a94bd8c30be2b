"""Shares as people write them, as parameters of passes."""

from typing import Annotated

from pydantic import BeforeValidator

from optkit.errors import UsageError
from optkit.units import parse_ratio


def _share(value: object) -> object:
    try:
        return parse_ratio(value) if isinstance(value, str) else value
    except UsageError as error:
        raise ValueError(str(error)) from error


Share = Annotated[float, BeforeValidator(_share, json_schema_input_type=float | str)]
"""A share of 1, or text such as `8%`."""
