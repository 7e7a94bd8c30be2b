"""A file is one idea and small enough to hold in the head; names say what things are."""

import ast
import re
from pathlib import Path

import pytest

import optkit

ROOT = Path(optkit.__file__).parent.parent
FILES = sorted((ROOT / "optkit").rglob("*.py"))
LONGEST_FILE = 400
LONGEST_FUNCTION = 60
EMPTY_WORD = re.compile("manager|handler|helpers?|utils?|common|core|base|misc|engine|context|impl|wrapper")


def words(name: str) -> list[str]:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_")


def named(tree: ast.AST) -> list[str]:
    return [n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_files_and_functions_are_short(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = {f.name: (f.end_lineno or f.lineno) - f.lineno + 1 for f in functions}
    assert text.count("\n") <= LONGEST_FILE
    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_names_are_not_empty_words(file: Path) -> None:
    names = [file.stem, *named(ast.parse(file.read_text(encoding="utf-8")))]
    assert file.stem != "types"
    assert [name for name in names if any(map(EMPTY_WORD.fullmatch, words(name)))] == []


def test_the_median_file_is_short() -> None:
    lengths = sorted(file.read_text(encoding="utf-8").count("\n") for file in FILES)
    assert lengths[len(lengths) // 2] <= 120
