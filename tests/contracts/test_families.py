"""The file name is the registry: one member a file, called as its word, its parameters explained."""

import inspect
from importlib import import_module
from typing import Any

import click
import pytest
from pydantic_core import PydanticUndefined

from optkit.passes import OnnxPass, Pass
from optkit.registry import class_name, load, members

PASSES = members("passes")
COMMANDS = members("commands")
SAYS_NOTHING = {"run", "edit"}


def classes_of(module: Any) -> list[type[Pass]]:
    found = [member for _, member in inspect.getmembers(module, inspect.isclass) if member.__module__ == module.__name__]
    return [member for member in found if issubclass(member, Pass)]


@pytest.mark.parametrize("word", PASSES)
def test_a_file_is_one_pass_with_the_name_of_its_class(word: str) -> None:
    assert [found.__name__ for found in classes_of(import_module(f"optkit.passes.{word}"))] == [class_name(word)]
    assert (load("passes", word).__doc__ or "").strip()


@pytest.mark.parametrize("word", PASSES)
def test_every_parameter_is_described(word: str) -> None:
    fields = load("passes", word).model_fields
    assert [name for name, field in fields.items() if not field.description] == []


@pytest.mark.parametrize("word", PASSES)
def test_a_pass_is_frozen_and_refuses_unknown_parameters(word: str) -> None:
    config = load("passes", word).model_config
    assert (config["frozen"], config["extra"]) == (True, "forbid")


@pytest.mark.parametrize("word", PASSES)
def test_a_pass_does_its_own_work(word: str) -> None:
    found = load("passes", word)
    assert found.run is not Pass.run
    assert not issubclass(found, OnnxPass) or found.edit is not OnnxPass.edit or found.run is not OnnxPass.run


@pytest.mark.parametrize("word", PASSES)
def test_every_parameter_has_a_default(word: str) -> None:
    """A recipe may name a pass alone; what it cannot do without (a ratio, a teacher) is declared as required on purpose, below."""
    required = {
        name for name, field in load("passes", word).model_fields.items() if field.default is PydanticUndefined and field.is_required()
    }
    assert required == REQUIRED.get(word, set())


REQUIRED: dict[str, set[str]] = {}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_explained(name: str) -> None:
    command: click.Command = import_module(f"optkit.commands.{name}").command
    assert command.help
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    assert [option.name for option in options if not option.help] == []
    assert command.get_short_help_str(200).endswith(".")


@pytest.mark.parametrize("name", COMMANDS)
def test_one_option_name_means_one_thing(name: str) -> None:
    """`--data`, `--device`, `--json` read alike wherever they stand."""
    command: click.Command = import_module(f"optkit.commands.{name}").command
    letters = {"q": "quiet", "v": "verbose", "o": "output", "f": "force"}
    for parameter in command.params:
        for option in parameter.opts:
            if len(option) == 2 and option[1] in letters:
                assert f"--{letters[option[1]]}" in parameter.opts
