"""Changes to a recipe from the command line: `--set passes.0.ratio=0.4`."""

from collections.abc import Sequence
from typing import Any

from optkit.errors import Problem
from optkit.recipe.lines import FROM_OPTION, Lines, read_lines


def apply(lines: Lines, overrides: Sequence[str]) -> None:
    """Change the values of a recipe; what cannot be applied is added to its problems. Their place is the option itself."""
    for text in overrides:
        where = f"{FROM_OPTION}{text}"
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            lines.problems.append(Problem(where, "this sets nothing", "write --set KEY=VALUE, such as --set passes.0.ratio=0.4"))
            continue
        if not isinstance(lines.values, dict):
            continue
        read = read_lines(value, where)
        if read.problems:
            lines.problems.append(Problem(where, read.problems[0].what, read.problems[0].hint))
        elif complaint := _put(lines, tuple(part.strip() for part in key.split(".")), read.values, where):
            lines.problems.append(Problem(where, complaint, "passes are counted from 0: --set passes.0.ratio=0.4"))


def _put(lines: Lines, parts: tuple[str, ...], value: Any, where: str) -> str | None:
    """Put a value in its place; a complaint when there is no such place."""
    at: Any = lines.values
    place: tuple[str | int, ...] = ()
    for i, part in enumerate(parts):
        last = i == len(parts) - 1
        if isinstance(at, list):
            found = _item(at, part)
            if found is None:
                return f"{'.'.join(map(str, place))} has no item {part!r}"
            key: str | int = found
            if place == ("passes",) and not last:
                at, place = _parameters(at, found, parts[i + 1]), (*place, found, _word(at[found]))
                continue
        elif isinstance(at, dict):
            key = part
        else:
            return f"{'.'.join(map(str, place))} has nothing inside"
        place = (*place, key)
        if last:
            at[key] = value
            _moved(lines, place, where)
        else:
            if isinstance(at, dict) and at.get(key) is None:
                at[key] = {}
            at = at[key]
    return None


def _item(items: list[Any], part: str) -> int | None:
    """An item by its number, or a step by its name where only one has it."""
    if part.isdecimal():
        return int(part) if int(part) < len(items) else None
    named = [i for i, item in enumerate(items) if _word(item) == part]
    return named[0] if len(named) == 1 else None


def _parameters(steps: list[Any], i: int, following: str) -> Any:
    """The parameters of a step, made when it had none; the step itself when the next part is its name."""
    word = _word(steps[i])
    if not isinstance(steps[i], dict):
        steps[i] = {word: {}}
    if steps[i].get(word) is None:
        steps[i][word] = {}
    return steps[i] if following == word else steps[i][word]


def _word(step: Any) -> str:
    return str(next(iter(step))) if isinstance(step, dict) and step else str(step)


def _moved(lines: Lines, place: tuple[str | int, ...], where: str) -> None:
    """A value that was set stands on the command line, with everything inside it."""
    for known in [known for known in lines.places if known[: len(place)] == place]:
        del lines.places[known]
    lines.places[place] = where
