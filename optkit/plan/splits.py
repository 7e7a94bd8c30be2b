"""The examples of a recipe, by what they are for."""

from collections.abc import Sequence

import numpy as np

from optkit.datasets import Examples, read_examples
from optkit.errors import DataError, OptkitError
from optkit.plan.data_doubts import data_doubts
from optkit.recipe import Recipe
from optkit.runtimes import Port

CALIBRATION_SHARE = 0.25
MOST_CALIBRATION = 512
"""Ranges settle long before: more examples only make it slow."""


def read_splits(recipe: Recipe, inputs: Sequence[Port]) -> dict[str, Examples]:
    """The examples of each split that the recipe has, fitted to a model's inputs. Raises DataError or UsageError, with `file:line`."""
    if recipe.data.whole:
        everything = _read(recipe, "data", recipe.data.whole, inputs)
        return divide(everything, recipe.seed)
    given = {split: getattr(recipe.data, split) for split in ("calibration", "training", "evaluation")}
    return {split: _read(recipe, f"data.{split}", source, inputs) for split, source in given.items() if source}


def divide(examples: Examples, seed: int = 0) -> dict[str, Examples]:
    """Examples to calibrate with and, apart from them, examples to evaluate on: drawn by chance, whole groups at a time."""
    units = np.arange(len(examples)) if examples.groups is None else examples.groups
    known = np.unique(units)
    if len(known) < 2:
        raise DataError(
            "one example cannot serve both calibration and evaluation",
            where=examples.source,
            hint="give data: {calibration: …, evaluation: …}",
        )
    count = max(1, min(round(len(known) * CALIBRATION_SHARE), MOST_CALIBRATION))
    chosen = np.random.default_rng(seed).permutation(known)[:count]
    for_calibration = np.isin(units, chosen)
    return {"calibration": examples.take(np.flatnonzero(for_calibration)), "evaluation": examples.take(np.flatnonzero(~for_calibration))}


def remarks(recipe: Recipe, splits: dict[str, Examples]) -> list[str]:
    """What a reader of the comparison must know of its data."""
    calibration, evaluation = splits.get("calibration"), splits.get("evaluation")
    if recipe.data.whole and calibration is not None and evaluation is not None:
        divided = f"{recipe.data.whole} was divided: {len(calibration)} examples to calibrate with, {len(evaluation)} others to compare on"
        return [divided, *data_doubts(calibration, evaluation)]
    if calibration is not None and (evaluation is None or evaluation.digest == calibration.digest):
        return ["compared on the examples that it was calibrated with: on others it may do worse"]
    return data_doubts(calibration, evaluation) if calibration is not None and evaluation is not None else []


def _read(recipe: Recipe, key: str, source: str, inputs: Sequence[Port]) -> Examples:
    try:
        return read_examples(source, inputs)
    except OptkitError as error:
        where = f"{recipe.where(key)}: {error.where}" if error.where else recipe.where(key)
        raise type(error)(error.what, where=where, hint=error.hint) from error
