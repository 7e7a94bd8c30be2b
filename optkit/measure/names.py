"""What tables call several models."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from optkit.formats.torch_compiled import COMPILED, is_compiled


def distinguishing_names(paths: Sequence[Path]) -> tuple[str, ...]:
    """The shortest end of each path that no other has; a file given twice is numbered, and of one to be compiled it is said."""
    whole = [path.absolute().parts for path in paths]
    names = [_shortest(parts, [other for other in whole if other != parts]) for parts in whole]
    names = [f"{name.removesuffix(COMPILED)}, compiled" if is_compiled(Path(name)) else name for name in names]
    counts, seen = Counter(names), Counter[str]()
    for i, name in enumerate(names):
        seen[name] += 1
        if counts[name] > 1:
            names[i] = f"{name} ({seen[name]})"
    return tuple(names)


def _shortest(parts: tuple[str, ...], others: Sequence[tuple[str, ...]]) -> str:
    for length in range(1, len(parts)):
        end = parts[-length:]
        if all(other[-length:] != end for other in others):
            return "/".join(end)
    return str(Path(*parts))
