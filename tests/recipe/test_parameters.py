import json
from pathlib import Path

import pytest

from optkit.passes import Pass
from optkit.recipe.parameters import Parameter, parameters_of, written
from optkit.recipe.ready import folder
from optkit.recipe.schema import FILE, recipe_schema
from optkit.registry import load, members


def test_parameters_are_described_as_a_recipe_writes_them() -> None:
    found = parameters_of(load("passes", "shrink"))
    assert found[:3] == (
        Parameter("ratio", "a number, above 0, below 1", "0.5", "How much smaller."),
        Parameter("method", "auto | static", "auto", "How it is done."),
        Parameter("skip", "a list of text", "[]", "Nodes to leave alone."),
    )
    assert found[4] == Parameter("limit", "a whole number, at least 1 or nothing", "null", "At most so many.")


@pytest.mark.parametrize("word", members("passes"))
def test_the_parameters_of_every_pass_can_be_described(word: str) -> None:
    for parameter in parameters_of(load("passes", word)):
        assert parameter.help
        assert "anything" not in parameter.takes


def test_the_schema_beside_the_recipes_is_fresh(request: pytest.FixtureRequest) -> None:
    file = folder() / FILE
    fresh = json.dumps(recipe_schema(), indent=2, ensure_ascii=False) + "\n"
    if request.config.getoption("--update-golden"):
        file.write_text(fresh, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == fresh, "a pass or a key has changed; if that is meant: make golden"


def test_the_schema_refuses_what_reading_refuses() -> None:
    schema = recipe_schema()
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == {"model", "passes"}
    for word in members("passes"):
        kind: type[Pass] = load("passes", word)
        assert set(schema["$defs"][word].get("properties", {})) == set(kind.model_fields)
        assert schema["$defs"][word]["additionalProperties"] is False


def test_bounds_of_numbers_with_units_are_where_editors_look_for_them() -> None:
    share, _ = recipe_schema()["$defs"]["GateKeys"]["properties"]["max_drop"]["anyOf"]
    assert share == {"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "string"}]}


def test_every_ready_recipe_names_the_schema_that_lies_beside_it() -> None:
    for path in Path(folder()).glob("*.yaml"):
        assert path.read_text(encoding="utf-8").startswith(f"# yaml-language-server: $schema={FILE}\n")


def test_values_are_written_as_a_recipe_writes_them() -> None:
    student = {"factory": "nets:Small", "arguments": {"layers": 3, "bias": False}, "weights": None}
    assert written(student) == "{factory: nets:Small, arguments: {layers: 3, bias: false}}"
    assert written({}) == "{}"
