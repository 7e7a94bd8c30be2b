"""The JSON schema of recipes, for completion and checks in editors. Generated from the same models that read them."""

from typing import Any

from optkit.passes import Pass
from optkit.recipe import SYNTHETIC
from optkit.recipe.keys import RecipeKeys
from optkit.registry import load, members

FILE = "recipe.schema.json"


def recipe_schema() -> dict[str, Any]:
    """The schema over all built-in passes. Passes of plug-ins are not in it: it must be the same on every machine."""
    schema = RecipeKeys.model_json_schema(mode="validation")
    properties, definitions = schema["properties"], schema["$defs"]
    whole = {"type": "string", "description": f"One source for everything, or `{SYNTHETIC}`."}
    properties["data"] = {"anyOf": [whole, {"$ref": "#/$defs/DataKeys"}], "description": properties["data"]["description"]}
    words = members("passes")
    properties["passes"]["items"] = {"anyOf": [form for word in words for form in _forms(word, load("passes", word), definitions)]}
    _bound_numbers(schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "optkit recipe"}


_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


def _bound_numbers(form: Any) -> None:
    """Where a number may also be text with a unit, pydantic leaves its bounds beside the choice, by names that are not JSON schema's."""
    for inside in form.values() if isinstance(form, dict) else form if isinstance(form, list) else ():
        _bound_numbers(inside)
    if isinstance(form, dict) and "anyOf" in form:
        bounds = {_BOUNDS[key]: form.pop(key) for key in tuple(form) if key in _BOUNDS}
        for choice in form["anyOf"]:
            choice.update(bounds if choice.get("type") == "number" else {})


def _forms(word: str, kind: type[Pass], definitions: dict[str, Any]) -> list[dict[str, Any]]:
    """A step is a name alone where nothing is required, or a name with parameters."""
    parameters = kind.model_json_schema(mode="validation", ref_template="#/$defs/{model}")
    definitions.update(parameters.pop("$defs", {}))
    definitions[word] = parameters
    summary = first_sentence(kind)
    step = {
        "type": "object",
        "properties": {word: {"anyOf": [{"$ref": f"#/$defs/{word}"}, {"type": "null"}]}},
        "required": [word],
        "additionalProperties": False,
        "description": summary,
    }
    return [step] if parameters.get("required") else [{"const": word, "description": summary}, step]


def first_sentence(kind: type[Pass]) -> str:
    """What a pass does, in one line."""
    return " ".join((kind.__doc__ or "").split("\n\n")[0].split())
