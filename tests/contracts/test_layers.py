"""Imports only go down: cli and commands → the verbs → the families → records → errors."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import optkit

ROOM = Path(optkit.__file__).parent

LAYERS = {
    4: "cli __main__ commands api pytest_plugin",
    3: "recipe plan optimize manifest soundness follow inspection installation"
    " bench measure compare layers gate report baseline drift evidence prove",
    2: "passes quantization pruning formats datasets metrics runtimes timing scenarios meters reports training",
    1: "arrays artifact samples store stats records units draft versions inputs decoder",
    0: "cores errors registry needs progress",
}
LEVEL = {room: level for level, rooms in LAYERS.items() for room in rooms.split()}
FAMILIES = frozenset(LAYERS[2].split())
SIDEWAYS = {
    ("passes", "formats"),
    ("passes", "quantization"),
    ("passes", "datasets"),  # where no examples are given, a pass makes some up for the model's inputs
    ("passes", "metrics"),  # quantize can hold variants to a score
    ("passes", "runtimes"),  # which it learns from the runtime
    ("passes", "training"),
    ("training", "pruning"),  # what was pruned stays pruned
    ("training", "datasets"),  # what is learned from
    ("training", "formats"),  # how outputs of modules are named
    ("training", "metrics"),  # what the best epoch is chosen by
    ("training", "quantization"),  # what a Q/DQ graph computes, and the rule its weights keep
    ("quantization", "formats"),
    ("quantization", "runtimes"),
    ("passes", "pruning"),
    ("pruning", "quantization"),  # its graph questions, moments and fidelity serve channels too
    ("pruning", "formats"),
    ("pruning", "runtimes"),
    ("scenarios", "runtimes"),
    ("scenarios", "timing"),
    ("timing", "runtimes"),  # what is timed
    ("timing", "formats"),  # what a process of its own loads
    ("quantization", "timing"),  # variants are raced
    ("passes", "timing"),
    ("runtimes", "formats"),  # to load what a runtime does not load by itself
}
"""Which family may use which."""
BY_NAME = frozenset({"commands", "passes", "datasets", "metrics", "meters", "scenarios", "reports"})
"""Families whose members are found by the name of their file."""
LAZY = frozenset({"optkit"})
"""`import optkit` offers the Python API, and loads it on first use."""


def modules() -> dict[str, Path]:
    files = {file: file.relative_to(ROOM.parent).with_suffix("") for file in sorted(ROOM.rglob("*.py"))}
    return {".".join(path.parts).removesuffix(".__init__"): file for file, path in files.items()}


MODULES = modules()


def room_of(module: str, house: str = "optkit") -> str:
    return module.removeprefix(f"{house}.").split(".")[0]


def imports(file: Path) -> Iterator[tuple[str, int]]:
    """Every module of optkit that a file imports when it runs, inside functions too; imports for annotations only do not count."""

    def walk(node: ast.AST) -> Iterator[tuple[str, int]]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: write the whole name, optkit.…"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else str(node.module), node.lineno
        for child in ast.iter_child_nodes(node):
            yield from walk(child)

    return (found for found in walk(ast.parse(file.read_text(encoding="utf-8"))) if found[0].split(".")[0] == "optkit")


def complaint(importer: str, imported: str) -> str | None:
    here, there = room_of(importer), room_of(imported)
    if imported == "optkit" or here == there or importer in LAZY:
        return None
    if LEVEL[there] > LEVEL[here]:
        return f"{here} (level {LEVEL[here]}) imports {there} (level {LEVEL[there]}): imports only go down"
    if {here, there} <= FAMILIES and (here, there) not in SIDEWAYS:
        return f"{here} imports {there}: families do not know each other"
    return None


def test_every_room_has_a_level() -> None:
    assert {room_of(module) for module in MODULES} - {"optkit"} <= set(LEVEL)


@pytest.fixture(scope="module")
def imported() -> dict[str, list[tuple[str, int]]]:
    """Module → what it imports, and in which line."""
    return {module: list(imports(file)) for module, file in MODULES.items()}


def test_imports_only_go_down(imported: dict[str, list[tuple[str, int]]]) -> None:
    found = [(module, line, complaint(module, other)) for module, others in imported.items() for other, line in others]
    assert len(found) > 1000
    assert [f"{module}:{line}: {what}" for module, line, what in found if what] == []


@pytest.mark.parametrize("house", ["optkit", "optkit.quantization"])
def test_no_room_reaches_itself(imported: dict[str, list[tuple[str, int]]], house: str) -> None:
    """Rooms of one level may use each other, but never in a circle."""
    edges: dict[str, set[str]] = {}
    for module, others in imported.items():
        if module.startswith(f"{house}."):
            reached = {room_of(other, house) for other, _ in others if other.startswith(f"{house}.")} - {room_of(module, house)}
            edges.setdefault(room_of(module, house), set()).update(reached)

    def circle(path: tuple[str, ...]) -> tuple[str, ...] | None:
        for following in edges.get(path[-1], ()):
            if following in path:
                return (*path, following)
            if longer := circle((*path, following)):
                return longer
        return None

    assert len(edges) > 10
    assert [found for room in edges if (found := circle((room,)))] == []


def test_what_has_an_underscore_stays_in_its_room(imported: dict[str, list[tuple[str, int]]]) -> None:
    """In families of members an underscore says that a file is no member; elsewhere, that it is of its room alone."""
    found = [
        f"{module}:{line}: {other}"
        for module, others in imported.items()
        for other, line in others
        if other.count("._") and room_of(other) not in BY_NAME and not module.startswith(other.partition("._")[0])
    ]
    assert found == []


@pytest.mark.parametrize(
    ("importer", "imported"),
    [("optkit.units", "optkit.compare"), ("optkit.metrics.top1", "optkit.runtimes"), ("optkit.recipe", "optkit.commands.run")],
)
def test_a_wrong_import_is_seen(importer: str, imported: str) -> None:
    assert complaint(importer, imported)
