"""What can go wrong that the user can mend: each error says where, what, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from pathlib import Path


class OptkitError(Exception):
    """A problem the user can mend. Shown as text (`where: what`, then `hint: …`), never as a traceback."""

    exit_code: ClassVar[int] = 2

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        line = f"{self.where}: {self.what}" if self.where else self.what
        return f"{line}\nhint: {self.hint}" if self.hint else line


class UsageError(OptkitError):
    """The command cannot do what was asked: a word, a path or a device is wrong."""


class NoHardware(UsageError):
    """A device whose software is installed has nothing here to run on."""


class ModelError(OptkitError):
    """A model cannot be read, is of the wrong format, or has other inputs than the data."""


class DataError(OptkitError):
    """Examples are missing, too few, or do not fit the model or their labels."""


class MissingLibrary(OptkitError):
    """Something asked for needs a package that is not installed."""


class NothingPaid(OptkitError):
    """No variant was worth handing over; nothing was written."""

    exit_code = 1
    kept: "Path | None" = None
    """The best variant all the same, where it is worth a look: a draft, which whoever gives files their names may keep under another."""


@dataclass(frozen=True)
class Problem:
    """One mistake in a recipe; `where` is `file:line`."""

    where: str
    what: str
    hint: str | None = None

    def __str__(self) -> str:
        return str(OptkitError(self.what, where=self.where, hint=self.hint))


class RecipeError(OptkitError):
    """All mistakes of one recipe, found in one reading."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


class PassFailed(OptkitError):
    """A pass could not do its work. The cause is chained."""

    def __init__(
        self, name: str, parameters: dict[str, Any], before: Sequence[str], why: str, *, where: str | None = None, hint: str | None = None
    ) -> None:
        given = ", ".join(f"{key}={value!r}" for key, value in parameters.items())
        chain = f" after {' → '.join(before)}" if before else ""
        super().__init__(f"pass {name}({given}){chain} failed: {why}", where=where, hint=hint)
        self.name, self.parameters, self.before = name, parameters, tuple(before)
