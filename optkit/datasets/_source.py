"""What the user writes for data: a path or `module:callable`, with a slice at the end that picks a split."""

import re
from dataclasses import dataclass

from optkit.errors import UsageError


@dataclass(frozen=True)
class Source:
    """`digits.npz[:512]` taken apart."""

    text: str
    """As the user wrote it, for messages."""
    place: str
    """Without the slice."""
    rows: slice
    """Which examples; all of them without a slice."""

    @property
    def is_callable(self) -> bool:
        return re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", self.place) is not None


def parse_source(text: str) -> Source:
    """Take DATA apart. Raises UsageError when what stands in the brackets is no slice."""
    found = re.fullmatch(r"(.+)\[([^\[\]]*)\]", text)
    if not found:
        return Source(text, text, slice(None))
    place, inside = found[1], found[2].replace(" ", "")
    if not re.fullmatch(r"(-?\d+)?:(-?\d+)?(:(-?\d+)?)?", inside):
        raise UsageError(f"[{found[2]}] is not a slice", where=text, hint=f"write {place}[:512], {place}[512:] or {place}[::4]")
    parts = [int(part) if part else None for part in inside.split(":")]
    rows = slice(*parts)
    if rows.step is not None and rows.step <= 0:
        raise UsageError("the step of a slice must be at least 1", where=text, hint=f"write {place}[::2] for every second example")
    return Source(text, place, rows)
