"""What a model takes, as everybody sees it who gives it something."""

from typing import Protocol


class Input(Protocol):
    """An input of a model, such as `optkit.runtimes.Port`: numpy dtype name (`str` for text), a dimension is a size, a name or None."""

    @property
    def name(self) -> str: ...
    @property
    def dtype(self) -> str: ...
    @property
    def shape(self) -> tuple[int | str | None, ...]: ...
