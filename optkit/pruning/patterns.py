"""Layers named by patterns, such as `blocks.0.*` or `Linear`."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from optkit.errors import UsageError
from optkit.registry import suggestion


def matched(patterns: Sequence[str], named: Mapping[str, str], field: str = "exclude") -> set[str]:
    """The names (name → kind) that a pattern matches, by themselves or by their kind. Raises UsageError for one that matches nothing."""
    found: set[str] = set()
    for pattern in patterns:
        met = {name for name, kind in named.items() if fnmatchcase(name, pattern) or fnmatchcase(kind, pattern)}
        if not met:
            raise UsageError(f"{field}: {pattern!r} matches no layer", hint=_nearest(pattern, named))
        found |= met
    return found


def _nearest(pattern: str, named: Mapping[str, str]) -> str:
    names = [name for name in (*named, *dict.fromkeys(named.values())) if name]
    hint = suggestion(pattern.strip("*"), names)
    return hint if len(hint) <= 300 else f"{hint[:300].rsplit(', ', 1)[0]}, …"
