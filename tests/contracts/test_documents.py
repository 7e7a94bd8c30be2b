"""Every command line in the documents is one that optkit understands, and every file that they name is there."""

import re
import shlex
from importlib import import_module
from pathlib import Path

import click
import pytest

from optkit.cli import main
from optkit.recipe.reading import recipe_from
from optkit.registry import members

ROOT = Path(__file__).parents[2]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "Makefile"]


def command_lines(text: str) -> list[str]:
    text = re.sub(r"\\\n\s*", " ", text)  # lines continued
    found = re.findall(r"^(?:\s+|\$ |\s*(?:- )?run: )?(optkit \w.*)$", text, re.MULTILINE)
    # only lines whose second word could be a command: sentences may begin with the name too
    return [line for line in found if re.match(r"optkit [a-z]+($| )", line) and not line.rstrip().endswith((".", ","))]


LINES = [(name, line) for name in DOCUMENTS for line in command_lines((ROOT / name).read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("document", "line"), LINES, ids=[f"{name}: {line}" for name, line in LINES])
def test_a_documented_command_is_understood(document: str, line: str) -> None:
    words = shlex.split(re.split(r"\s\|\s|\s>|\s;|\s&&|;\s", line)[0], comments=True)
    assert words[1] in members("commands")
    command: click.Command = import_module(f"optkit.commands.{words[1]}").command
    whole = main.make_context("optkit", words[1:])
    command.make_context(words[1], words[2:], parent=whole)  # parses and checks the line; runs nothing


def test_the_documents_show_commands() -> None:
    assert {name for name, _ in LINES} >= {"README.md", "Makefile"}


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "sample_models/README.md"])
def test_links_to_files_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    linked = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
    assert [target for target in linked if target and not ((ROOT / document).parent / target).exists()] == []


def test_words_of_passes_in_the_readme_exist() -> None:
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Recipes")[2].partition("\n## ")[0]
    named = set(re.findall(r"^\| `([a-z_]+)` \|", section, re.MULTILINE))
    assert named == set(members("passes"))


def test_the_recipe_in_the_readme_has_no_mistakes() -> None:
    (recipe,) = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(recipe_from(recipe).steps) == 2
