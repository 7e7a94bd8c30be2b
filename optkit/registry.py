"""The file name is the registry: `passes/cast_half.py` is the word `cast_half` is the class `CastHalf`."""

import difflib
import os
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache, reduce
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from optkit.errors import UsageError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


@cache
def members(family: str) -> tuple[str, ...]:
    """The words of a family, sorted, without importing any of its modules."""
    spec = find_spec(f"optkit.{family}")
    folders = spec.submodule_search_locations if spec else None
    return tuple(sorted(m.name for m in pkgutil.iter_modules(folders) if not m.name.startswith("_")))


def plugins(family: str) -> tuple[str, ...]:
    """Words that installed packages add through the entry point group `optkit.FAMILY`; they cannot shadow ours."""
    return tuple(sorted(set(_entries(family)) - set(members(family))))


def _entries(family: str) -> "dict[str, EntryPoint]":
    from importlib.metadata import entry_points  # half of what `optkit --help` would cost

    return {entry.name: entry for entry in entry_points(group=f"optkit.{family}")}


def load(family: str, word: str) -> Any:
    """The class that `word` names in `family`. Raises UsageError with the nearest word when there is none."""
    if word in members(family):
        return getattr(import_module(f"optkit.{family}.{word}"), class_name(word))
    if word in plugins(family):
        return _entries(family)[word].load()
    known = (*members(family), *plugins(family))
    raise UsageError(f"no {singular(family)} is called {word!r}", hint=suggestion(word, known))


def class_name(word: str) -> str:
    """`quantize_static` → `QuantizeStatic`."""
    return "".join(part.capitalize() for part in word.split("_"))


def singular(family: str) -> str:
    return {"passes": "pass", "datasets": "data set"}.get(family, family.removesuffix("s"))


def suggestion(word: str, known: Iterable[str]) -> str:
    """Name the nearest known word and what is allowed."""
    allowed = sorted(known)
    near = difflib.get_close_matches(word, allowed, n=1)
    listing = "known: " + ", ".join(allowed)
    return f"did you mean {near[0]!r}? {listing}" if near else listing


_beside: list[str] = []


@contextmanager
def looking_beside(folder: str) -> Iterator[None]:
    """While a recipe is followed, what it names as `module:name` may lie in its folder."""
    _beside.append(folder)
    try:
        yield
    finally:
        _beside.remove(folder)


def import_named(word: str, beside: str | None = None) -> Any:
    """What `module:name` refers to, looked for in the current folder, in `beside` and in the folder of the recipe that is followed.

    Raises UsageError when it cannot be had.
    """
    module_name, _, name = word.partition(":")
    folders = [place for place in dict.fromkeys((os.getcwd(), beside, *reversed(_beside))) if place is not None]
    added = [place for place in folders if place not in sys.path]
    sys.path[:0] = added
    try:
        module = import_module(module_name)
    except Exception as error:  # the user's module may raise anything while it is imported
        if isinstance(error, ModuleNotFoundError) and error.name and f"{module_name}.".startswith(f"{error.name}."):
            hint = f"looked in {' and '.join(folders)} and the installed packages"
            raise UsageError(f"there is no module {error.name!r}", where=word, hint=hint) from error
        told = " ".join(str(error).split())
        raise UsageError(f"importing {module_name!r} raised {type(error).__name__}: {told}", where=word, hint="mend the module") from error
    finally:
        for place in added:
            sys.path.remove(place)
    try:
        return reduce(getattr, name.split("."), module)
    except AttributeError as error:
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        hint = suggestion(name, known) if known else f"define {name} in it"
        raise UsageError(f"module {module_name!r} has nothing called {name!r}", where=word, hint=hint) from error
