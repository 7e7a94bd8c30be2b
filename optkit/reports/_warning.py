"""Warnings in a terminal: everything that one hint answers, and then the hint."""

from collections.abc import Sequence

from rich.text import Text


def warning(whats: Sequence[str], hint: str) -> Text:
    said = [part for what in whats for part in (("warning: ", "yellow"), f"{what}\n")]
    return Text.assemble(*said, ("hint: ", "dim"), hint)
