"""The recipes that come with optkit: their first comment says what each is for."""

from dataclasses import dataclass
from pathlib import Path

import optkit
from optkit.errors import UsageError
from optkit.registry import suggestion


@dataclass(frozen=True)
class Ready:
    """One ready recipe."""

    name: str
    path: Path
    purpose: str
    """For whom it is: the first comment line."""


def folder() -> Path:
    """Where they lie: in the installed package, or beside it in a checkout."""
    package = Path(optkit.__file__).parent
    installed = package / "recipes_shipped"
    return installed if installed.is_dir() else package.parent / "recipes"


def ready_recipes() -> tuple[Ready, ...]:
    """All of them, by name."""
    return tuple(Ready(path.stem, path, _purpose(path)) for path in sorted(folder().glob("*.yaml")))


def ready_recipe(name: str) -> Ready:
    """The one of that name. Raises UsageError with the nearest."""
    known = {each.name: each for each in ready_recipes()}
    if name not in known:
        raise UsageError(f"no ready recipe is called {name!r}", hint=suggestion(name, known))
    return known[name]


def _purpose(path: Path) -> str:
    comments = (line.removeprefix("#").strip() for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#"))
    return next((comment for comment in comments if not comment.startswith("yaml-language-server")), "")
