"""Text → Recipe. Every mistake is found in one reading."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from optkit.errors import OptkitError, Problem, RecipeError, UsageError
from optkit.gate import Limits
from optkit.measure import Settings
from optkit.passes import Pass
from optkit.recipe import SYNTHETIC, Data, Recipe, Step, TorchSource
from optkit.recipe.keys import ModelKeys, RecipeKeys
from optkit.recipe.lines import FROM_OPTION, Lines, line_of, read_lines
from optkit.recipe.overrides import apply
from optkit.recipe.problems import problems_of
from optkit.registry import load, members, plugins, suggestion


def recipe_text(path: Path) -> str:
    """The text of a recipe file. Raises UsageError when it cannot be read as one."""
    if path.is_dir() or not path.exists():
        what = "this is a folder, not a recipe" if path.is_dir() else "there is no such file"
        raise UsageError(what, where=str(path), hint="`optkit recipes` lists ready ones; `optkit init MODEL` writes one for a model")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            "this is not a recipe, which is YAML text", where=str(path), hint="for a model, use `optkit init MODEL`"
        ) from error


def recipe_from(text: str, name: str = "recipe", folder: Path = Path(), overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe whose relative paths start at `folder`. Raises RecipeError with every mistake."""
    lines = read_lines(text, name)
    apply(lines, overrides)
    values = lines.values
    if not isinstance(values, dict):
        what = "it is empty" if values is None else "it is no list of keys and values"
        raise RecipeError(lines.problems or [Problem(f"{name}:1", what, "a recipe has at least `model:` and `passes:`")])
    data = values.get("data")
    if isinstance(data, str):
        values = {**values, "data": {}}
    keys = _keys(values, lines)
    steps = _steps(values.get("passes"), lines, _Paths(lines, folder))
    lines.problems.extend(_unknown_metrics(values.get("measure"), lines))
    if lines.problems or keys is None:
        raise RecipeError(sorted(lines.problems, key=line_of))
    paths = _Paths(lines, folder)
    return Recipe(
        name=name,
        model=Path(paths.file(keys.model, "model"))
        if isinstance(keys.model, str)
        else Path(f"{keys.model.factory.rpartition(':')[2]}.safetensors"),
        torch=None if isinstance(keys.model, str) else _torch(keys.model, paths),
        steps=steps,
        data=_data(data, keys, paths),
        measure=_measure(keys),
        gate=_gate(keys, paths),
        seed=keys.seed,
        output=None if keys.output is None else Path(paths.file(keys.output, "output")),
        lines={".".join(map(str, place)): where for place, where in lines.places.items()},
    )


def make_pass(word: str, parameters: Mapping[str, Any]) -> Pass:
    """A pass with parameters given by name, as from Python. Raises UsageError with everything that is wrong with them."""
    kind: type[Pass] = load("passes", word)
    try:
        return kind.model_validate(dict(parameters))
    except ValidationError as error:
        found = problems_of(error, kind, Lines(word), (), f"pass {word}")
        hints = dict.fromkeys(problem.hint for problem in found if problem.hint)
        raise UsageError("; ".join(problem.what for problem in found), where=word, hint="; ".join(hints) or None) from error


def _keys(values: dict[str, Any], lines: Lines) -> RecipeKeys | None:
    given = {key: value for key, value in values.items() if value is not None or key in ("model", "passes")}
    try:
        return RecipeKeys.model_validate_json(json.dumps(given), strict=True)
    except ValidationError as error:
        lines.problems.extend(problems_of(error, RecipeKeys, lines, (), "the recipe"))
        return None


def _steps(items: Any, lines: Lines, paths: "_Paths") -> tuple[Step, ...]:
    found = [_step(item, i, lines, paths) for i, item in enumerate(items)] if isinstance(items, list) else []
    return tuple(step for step in found if step)


def _step(item: Any, i: int, lines: Lines, paths: "_Paths") -> Step | None:
    where = lines.where(("passes", i))
    if isinstance(item, str):
        item = {item: None}
    if not isinstance(item, dict) or len(item) != 1:
        lines.problems.append(_not_a_step(item, where))
        return None
    [(word, given)] = item.items()
    try:
        kind: type[Pass] = load("passes", word)
    except OptkitError as error:
        lines.problems.append(Problem(where, error.what, error.hint))
        return None
    if not isinstance(given, dict | None):
        lines.problems.append(Problem(where, f"{word}: expected parameters, not {given!r}", f"`optkit passes {word}` shows them"))
        return None
    try:
        return Step(word, kind.model_validate_json(json.dumps(_with_files(given or {}, kind, paths, i, word)), strict=True), where)
    except ValidationError as error:
        lines.problems.extend(problems_of(error, kind, lines, ("passes", i, word), f"pass {word}"))
        return None


def _with_files(given: dict[str, Any], kind: type[Pass], paths: "_Paths", i: int, word: str) -> dict[str, Any]:
    """Parameters whose files are found from the current folder."""
    made = deepcopy(given)
    for path in kind.paths:
        *outer, last = path.split(".")
        inside: Any = made
        for key in outer:
            inside = inside.get(key) if isinstance(inside, dict) else None
        if isinstance(inside, dict) and isinstance(inside.get(last), str):
            inside[last] = paths.file(inside[last], "passes", i, word, *outer, last)
    return made


def _not_a_step(item: Any, where: str) -> Problem:
    if not isinstance(item, dict) or not item:
        return Problem(where, f"expected the name of a pass, not {item!r}", suggestion("", (*members("passes"), *plugins("passes"))))
    word, *rest = item
    if item[word] is None:
        return Problem(
            where, f"{rest[0]!r} stands beside {word!r}, not inside it", f"indent the parameters of {word} further than its name"
        )
    return Problem(where, f"one step names {len(item)} passes: {', '.join(item)}", "start each with a dash of its own")


def _unknown_metrics(measure: Any, lines: Lines) -> list[Problem]:
    from optkit.metrics import is_metric, unknown_metric

    given = measure.get("metrics") if isinstance(measure, dict) else None
    found = []
    for i, metric in enumerate(given if isinstance(given, list) else [given]):
        if isinstance(metric, str) and ":" not in metric and not is_metric(metric):
            error = unknown_metric(metric)
            found.append(Problem(lines.where(("measure", "metrics", i)), error.what, error.hint))
    return found


class _Paths:
    """Paths of a recipe are relative to it; those given as options are relative to where the command is run."""

    def __init__(self, lines: Lines, folder: Path) -> None:
        self.lines, self.folder = lines, folder

    def file(self, text: str, *place: str | int) -> str:
        if self.lines.where(place).startswith(FROM_OPTION):
            return text
        return os.path.normpath(self.folder / Path(text).expanduser())

    def data(self, text: str | None, *place: str) -> str | None:
        """A source of data: a path, or `module:callable`, which is no path."""
        return text if text is None or _is_callable(text) else self.file(text, *place)


def _is_callable(text: str) -> bool:
    module, colon, name = re.sub(r"\[[^\]]*\]$", "", text).partition(":")  # a slice may follow
    return bool(colon) and name.isidentifier() and all(part.isidentifier() for part in module.split("."))


def _torch(given: ModelKeys, paths: _Paths) -> TorchSource:
    weights = None if given.weights is None else Path(paths.file(given.weights, "model", "weights"))
    library, _, name = given.factory.partition(":")
    if library == "transformers" and name.startswith("."):
        given = given.model_copy(update={"factory": f"transformers:{paths.file(name, 'model', 'factory')}"})
    return TorchSource(given.factory, given.arguments, weights, given.inputs, given.outputs, paths.folder)


def _data(whole: Any, keys: RecipeKeys, paths: _Paths) -> Data:
    if whole == SYNTHETIC:
        return Data(synthetic=True)
    if isinstance(whole, str):
        return Data(whole=paths.data(whole, "data"))
    given = keys.data
    calibration = paths.data(given.calibration, "data", "calibration")
    training = paths.data(given.training, "data", "training")
    evaluation = paths.data(given.evaluation, "data", "evaluation")
    return Data(calibration, training, evaluation)


def _gate(keys: RecipeKeys, paths: _Paths) -> Limits | None:
    if keys.gate is None:
        return None
    given = keys.gate.model_dump()
    if keys.gate.baseline is not None:
        given["baseline"] = paths.file(keys.gate.baseline, "gate", "baseline")
    return Limits(**given)


def _measure(keys: RecipeKeys) -> Settings:
    given = keys.measure.model_dump()
    return Settings.of(seconds=given.pop("time"), **given)
