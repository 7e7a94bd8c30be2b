"""Functions of the user's, named as `module:function`."""

import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from optkit.errors import UsageError
from optkit.registry import import_named


def find_function(word: str, wanted: str, folder: str | None = None) -> Callable[..., Any]:
    """The function that `module:function` names, looked for in `folder` too. Raises UsageError."""
    if ":" not in word:
        raise UsageError("this names no function", where=word, hint=f"write module:function; {wanted}")
    found = import_named(word, folder)
    if not callable(found):
        raise UsageError(f"it is {type(found).__name__}, not a function", where=word, hint=wanted)
    return found  # type: ignore[no-any-return]


def code_digest(word: str, folder: str | None = None) -> str:
    """sha256 of the file that a function stands in; empty where it stands in none. Raises UsageError where there is no such function."""
    try:
        file = inspect.getsourcefile(find_function(word, "it is called while training", folder))
    except TypeError:
        return ""
    return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file and Path(file).is_file() else ""
