"""Processes that do nothing but run one model: how they are started, what they are told, and what they say when they fail."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import optkit
from optkit.arrays import Array
from optkit.errors import ModelError, OptkitError
from optkit.runtimes.waiting import undisturbed

REFUSED = 2
"""Exit code for an error that the user can mend; its text is on stderr."""


def command(module: str, request: Mapping[str, Any]) -> list[str]:
    """Runs a module of optkit's with a request; -P because the current folder may hold modules with the names of ours."""
    return [sys.executable, "-P", "-m", module, json.dumps(request)]


def surroundings() -> dict[str, str]:
    """The environment in which a new process finds this optkit."""
    room = str(Path(optkit.__file__).parent.parent)
    known = os.environ.get("PYTHONPATH")
    return {**undisturbed(), "PYTHONPATH": f"{room}{os.pathsep}{known}" if known else room}


def store_feeds(path: Path, feeds: Sequence[Mapping[str, Array]]) -> None:
    """Write feeds so that nothing needs to be unpickled: text as fixed-width characters."""
    arrays: dict[str, Any] = {}
    for i, feed in enumerate(feeds):
        arrays |= {f"{i}/{name}": array.astype(np.str_) if array.dtype.kind == "O" else array for name, array in feed.items()}
    np.savez(path, **arrays)


def stored_feeds(path: Path) -> list[dict[str, Array]]:
    """What `store_feeds` wrote."""
    feeds: dict[int, dict[str, Array]] = {}
    with np.load(path) as stored:
        for key in stored.files:
            number, _, name = key.partition("/")
            feeds.setdefault(int(number), {})[name] = stored[key]
    return [feeds[number] for number in sorted(feeds)]


def told(error: OptkitError) -> str:
    """An error in one line, for the process that waits."""
    return json.dumps({"what": error.what, "where": error.where, "hint": error.hint})


def failed(code: int, said: str, model: Path) -> OptkitError:
    """What went wrong in a process that ended with `code` and wrote `said` to stderr."""
    last = (said.strip().splitlines() or ["it said nothing"])[-1]
    try:
        facts = json.loads(last)
        return ModelError(facts["what"], where=facts["where"], hint=facts["hint"])
    except (ValueError, TypeError, KeyError):
        ended = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        hint = "is there enough memory?" if code == -9 else last
        return ModelError(f"a fresh process that ran it {ended}", where=str(model), hint=hint)
