"""YAML to plain values, remembering the line of every key and item."""

import warnings
from dataclasses import dataclass, field
from typing import Any

from optkit.errors import Problem

Place = tuple[str | int, ...]
"""Where a value stands: `("passes", 0, "quantize")`."""

LARGEST = 10_000
"""Values in one recipe: aliases can multiply a few lines into billions."""

FROM_OPTION = "--set "
"""How the place of a value begins that was given on the command line."""


@dataclass
class Lines:
    """The values of a YAML text, and where each was written."""

    file: str
    values: Any = None
    places: dict[Place, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def where(self, place: Place) -> str:
        """`file:line` of a place, or of the nearest place around it."""
        while place and place not in self.places:
            place = place[:-1]
        return self.places.get(place, f"{self.file}:1")


def read_lines(text: str, file: str) -> Lines:
    """Parse YAML. Syntax errors, duplicate keys and keys that are not text are in `problems`; what could be read is in `values`."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    lines = Lines(file)
    yaml = YAML(typ="safe", pure=True)
    try:
        with warnings.catch_warnings(action="ignore"):  # an anchor may be used anew: the last one counts
            root = yaml.compose(text)
        if root is not None:
            lines.values = _Reader(lines, yaml).read(root, ())
    except MarkedYAMLError as error:
        lines.problems.append(_syntax(error, file))
    except YAMLError as error:
        lines.problems.append(Problem(f"{file}:1", f"this is not YAML text: {_first_line(error)}"))
    return lines


def line_of(problem: Problem) -> int:
    """What problems are shown in the order of: the line; those of options come last."""
    number = problem.where.rpartition(":")[2]
    return int(number) if number.isdecimal() and not problem.where.startswith(FROM_OPTION) else 10**9


class _Reader:
    """Walks the nodes of a YAML text."""

    def __init__(self, lines: Lines, yaml: Any) -> None:
        self.lines, self.yaml, self.count = lines, yaml, 0

    def read(self, node: Any, place: Place) -> Any:
        from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

        self.count += 1
        if self.count > LARGEST or len(place) > 20:
            raise _too_large(node)
        self.lines.places.setdefault(place, self._at(node))
        if isinstance(node, MappingNode):
            return self._mapping(node, place)
        if isinstance(node, SequenceNode):
            return [self.read(item, (*place, i)) for i, item in enumerate(node.value)]
        assert isinstance(node, ScalarNode)
        return self._scalar(node)

    def _mapping(self, node: Any, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in found:
                first = self.lines.places[(*place, key)]
                self.lines.problems.append(Problem(self._at(key_node), f"{key!r} stands here twice", f"it is first at {first}; keep one"))
                continue
            self.lines.places[(*place, key)] = self._at(key_node)
            found[key] = self.read(value_node, (*place, key))
        return found

    def _scalar(self, node: Any) -> Any:
        value = self.yaml.constructor.construct_object(node, deep=True)
        return value if value is None or isinstance(value, bool | int | float | str) else str(node.value)

    def _at(self, node: Any) -> str:
        return f"{self.lines.file}:{node.start_mark.line + 1}"


def _too_large(node: Any) -> Exception:
    from ruamel.yaml.constructor import ConstructorError

    return ConstructorError(None, None, "it is too large or too deep for a recipe, or an alias contains itself", node.start_mark)


def _syntax(error: Any, file: str) -> Problem:
    # a bracket that is never closed: the line that opens it says more than the end of the file
    mark = error.context_mark if "flow" in (error.context or "") else error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    hints = {
        "mapping values are not allowed": "check the indentation, and put text that holds a colon in quotes",
        "cannot start any token": "indent with spaces, and put text that starts with a special character in quotes",
    }
    hint = next((hint for words, hint in hints.items() if words in (error.problem or "")), None)
    return Problem(f"{file}:{line}", f"this is not valid YAML: {error.problem or _first_line(error)}", hint)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
