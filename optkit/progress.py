"""How far a piece of work has come, told to whoever watches."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""`(what, done, total)`; a total of 0 is not known."""


def silent(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""
