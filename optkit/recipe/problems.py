"""What pydantic found wrong, in the words of the recipe: file and line, the nearest word, what is allowed."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from optkit.errors import Problem
from optkit.recipe.lines import Lines, Place
from optkit.registry import suggestion

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "model_attributes_type": "keys and values",
}


def problems_of(error: ValidationError, kind: type[BaseModel], lines: Lines, start: Place, owner: str) -> list[Problem]:
    """One problem for each mistake. `start` is where the checked values stand, `owner` what they belong to."""
    found = error.errors(include_url=False)
    inner = {each["loc"][:-1] for each in found}
    # a list whose items are wrong is also called too short: once is enough
    return [_problem(each, kind, lines, start, owner) for each in found if each["type"] != "too_short" or each["loc"] not in inner]


def _problem(each: Any, kind: type[BaseModel], lines: Lines, start: Place, owner: str) -> Problem:
    loc: tuple[str | int, ...] = each["loc"]
    where = lines.where((*start, *loc))
    key, around = ".".join(map(str, loc)), _model_at(kind, loc[:-1])
    match each["type"]:
        case "extra_forbidden":
            known = list(around.model_fields) if around else []
            what = f"{_owner(owner, loc)} has no {_thing(owner)} {loc[-1]!r}"
            return Problem(where, what, suggestion(str(loc[-1]), known) if known else "it takes none")
        case "missing":
            return Problem(where, f"{owner} lacks {key!r}", _help(kind, loc))
        case "literal_error" | "enum":
            allowed = _allowed(kind, loc)
            hint = suggestion(str(each["input"]), allowed) if allowed else f"allowed: {each['ctx']['expected']}"
            return Problem(where, f"{key}: {each['input']!r} is not allowed", hint)
        case named if named in _EXPECTED:
            return Problem(where, f"{key}: expected {_EXPECTED[named]}, not {_shown(each['input'])}", _help(kind, loc))
        case "value_error":
            return Problem(where, f"{key}: {each['ctx']['error']}" if key else str(each["ctx"]["error"]), _help(kind, loc))
        case "too_short":
            return Problem(where, f"{key}: it is empty", _help(kind, loc))
        case _:
            bound = each["msg"].replace("Input should be", "it must be")
            return Problem(where, f"{key}: {bound}, not {_shown(each['input'])}", _help(kind, loc))


def _thing(owner: str) -> str:
    return "parameter" if owner.startswith("pass ") else "key"


def _owner(owner: str, loc: Sequence[str | int]) -> str:
    return ".".join(map(str, loc[:-1])) or owner


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _help(kind: type[BaseModel], loc: Sequence[str | int]) -> str | None:
    info = _field_at(kind, loc)
    return f"{loc[-1] if isinstance(loc[-1], str) else loc[-2]}: {info.description}" if info is not None and info.description else None


def _field_at(kind: type[BaseModel], loc: Sequence[str | int]) -> Any:
    words = [part for part in loc if isinstance(part, str)]
    model: type[BaseModel] | None = kind
    info = None
    for word in words:
        if model is None or word not in model.model_fields:
            return info
        info = model.model_fields[word]
        model = _model_in(info.annotation)
    return info


def _model_at(kind: type[BaseModel], loc: Sequence[str | int]) -> type[BaseModel] | None:
    if not loc:
        return kind
    info = _field_at(kind, loc)
    return _model_in(info.annotation) if info is not None else None


def _model_in(annotation: Any) -> type[BaseModel] | None:
    from typing import get_args

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)


def _allowed(kind: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """The words that a field with a fixed choice takes."""
    from typing import Literal, get_args, get_origin

    def words(annotation: Any) -> list[str]:
        if get_origin(annotation) is Literal:
            return [str(each) for each in get_args(annotation)]
        return [word for part in get_args(annotation) for word in words(part)]

    info = _field_at(kind, loc)
    return words(info.annotation) if info is not None else []
