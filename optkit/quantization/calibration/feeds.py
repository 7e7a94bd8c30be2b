"""Examples, as far as quantization asks for them."""

from collections.abc import Iterator
from typing import Protocol

from optkit.arrays import Array


class Feeds(Protocol):
    """Examples as the model wants them (optkit.datasets.Examples is one)."""

    @property
    def whole(self) -> bool: ...

    def __len__(self) -> int: ...

    def spread(self, count: int) -> "Feeds": ...

    def feeds(self, batch: int = 1) -> Iterator[dict[str, Array]]: ...


class Divisible(Feeds, Protocol):
    """Feeds of which some can be held back."""

    def take(self, rows: Array) -> "Divisible": ...
