"""A file is one idea and small enough to hold in the head; names say what things are."""

import ast
import re
from functools import cache
from pathlib import Path
from statistics import median

import optkit

ROOT = Path(optkit.__file__).parent.parent
LONGEST_FILE, LONGEST_MEDIAN = 400, 120
LONGEST_FUNCTION = 60
EMPTY_WORD = re.compile("manager|handler|helpers?|utils?|common|core|base|misc|engine|context|impl|wrapper")


@cache
def texts() -> dict[Path, str]:
    return {file.relative_to(ROOT): file.read_text(encoding="utf-8") for file in sorted((ROOT / "optkit").rglob("*.py"))}


@cache
def trees() -> dict[Path, ast.Module]:
    return {file: ast.parse(text) for file, text in texts().items()}


def words(name: str) -> list[str]:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_")


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def named(tree: ast.AST) -> list[str]:
    return [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]


def test_files_are_short() -> None:
    lengths = {str(file): text.count("\n") for file, text in texts().items()}
    assert {file: length for file, length in lengths.items() if length > LONGEST_FILE} == {}
    assert median(lengths.values()) <= LONGEST_MEDIAN


def test_functions_are_short() -> None:
    found = [(file, each.name, (each.end_lineno or 0) - each.lineno + 1) for file, tree in trees().items() for each in functions(tree)]
    assert len(found) > 1000
    assert [(str(file), name, length) for file, name, length in found if length > LONGEST_FUNCTION] == []


def test_names_are_not_empty_words() -> None:
    names = [(file, name) for file, tree in trees().items() for name in (file.stem, *named(tree))]
    assert [(str(file), name) for file, name in names if any(map(EMPTY_WORD.fullmatch, words(name)))] == []
    assert [str(file) for file in trees() if file.stem == "types"] == []
