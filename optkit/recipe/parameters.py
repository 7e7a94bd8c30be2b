"""The parameters of a pass in words, read off its fields: what they take, what they are left alone, and what they mean."""

from dataclasses import dataclass
from typing import Any

from optkit.passes import Pass


@dataclass(frozen=True)
class Parameter:
    """One parameter of a pass."""

    name: str
    takes: str
    """Such as `a whole number, at least 1`, or the words that are allowed."""
    default: str | None
    """As it is written in a recipe; None where it must be given."""
    help: str


def parameters_of(kind: type[Pass]) -> tuple[Parameter, ...]:
    """All of them, in the order they are declared."""
    schema = kind.model_json_schema(mode="validation")
    required, definitions = schema.get("required", []), schema.get("$defs", {})
    return tuple(
        Parameter(name, _takes(form, definitions), None if name in required else written(form.get("default")), form.get("description", ""))
        for name, form in schema.get("properties", {}).items()
    )


def _takes(form: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "$ref" in form:
        return _takes(definitions[form["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in form:
        return " or ".join(dict.fromkeys(_takes(each, definitions) for each in form["anyOf"]))
    if "allOf" in form:
        return _takes(form["allOf"][0], definitions)
    if "const" in form or "enum" in form:
        return " | ".join(map(written, form.get("enum", [form.get("const")])))
    names = {"integer": "a whole number", "number": "a number", "string": "text", "boolean": "true or false", "null": "nothing"}
    match form.get("type"):
        case "array":
            inside = form.get("items") or {}
            return f"a list of {_takes(inside, definitions)}" if inside else "a list"
        case "object":
            return "keys and values"
        case str() as known:
            return names[known] + _bounds(form)
        case _:
            return "anything"


def _bounds(form: dict[str, Any]) -> str:
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    found = [f"{word} {form[key]:g}" for key, word in words.items() if key in form]
    return f", {', '.join(found)}" if found else ""


def written(value: Any) -> str:
    """A value as a recipe writes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {written(each)}' for key, each in value.items() if each is not None)}}}"
    return f"{value:g}" if isinstance(value, float) else str(value)
