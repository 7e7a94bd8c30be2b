from pathlib import Path
from typing import Any

import pytest

from optkit.errors import RecipeError
from optkit.recipe import Data, Recipe
from optkit.recipe.reading import recipe_from

TEXT = "model: m.onnx\npasses:\n- shrink\n- shrink: {ratio: 0.1, skip: [a, b]}\n- melt\nmeasure: {time: 1s}\n"


def changed(*overrides: str) -> Recipe:
    return recipe_from(TEXT, "recipe", Path("in"), overrides)


@pytest.mark.parametrize(
    ("override", "step", "parameters"),
    [
        ("passes.0.ratio=0.4", 0, {"ratio": 0.4}),
        ("passes.1.ratio=0.4", 1, {"ratio": 0.4, "skip": ("a", "b")}),
        ("passes.1.shrink.ratio=0.4", 1, {"ratio": 0.4, "skip": ("a", "b")}),
        ("passes.1.skip.0=z", 1, {"ratio": 0.1, "skip": ("z", "b")}),
        ("passes.1.skip=[]", 1, {"ratio": 0.1}),
        ("passes.0.inner.depth=4", 0, {"inner": {"depth": 4}}),
        ("passes.0={shrink: {ratio: 0.9}}", 0, {"ratio": 0.9}),
        (" passes . 0 . ratio = 0.4", 0, {"ratio": 0.4}),
    ],
)
def test_parameters_of_steps_can_be_set(override: str, step: int, parameters: dict[str, Any]) -> None:
    assert changed(override).steps[step].pass_.model_dump(exclude_defaults=True) == parameters


def test_a_step_may_be_called_by_its_name_where_only_one_has_it() -> None:
    text = "model: m\npasses: [melt, shrink]"
    assert recipe_from(text, overrides=["passes.shrink.ratio=0.3"]).steps[1].pass_.model_dump()["ratio"] == 0.3
    with pytest.raises(RecipeError, match="passes has no item 'shrink'"):
        changed("passes.shrink.ratio=0.3")


def test_other_keys_can_be_set_and_added() -> None:
    recipe = changed("measure.time=2min", "gate.max_drop=2%", "seed=9", "measure.metrics=top1")
    assert (recipe.measure.seconds, recipe.seed, recipe.measure.metrics) == (120, 9, ("top1",))
    assert recipe.gate is not None
    assert recipe.gate.max_drop == 0.02


def test_paths_in_options_are_relative_to_where_the_command_is_run() -> None:
    recipe = changed("model=here.onnx", "data=d.npz")
    assert (recipe.model, recipe.data) == (Path("here.onnx"), Data(whole="d.npz"))
    assert changed("data.calibration=d.npz").data == Data(calibration="d.npz")
    assert changed().model == Path("in/m.onnx")


@pytest.mark.parametrize(
    ("override", "what"),
    [
        ("passes.0.ratio", "this sets nothing"),
        ("=3", "this sets nothing"),
        ("passes.7.ratio=1", "passes has no item '7'"),
        ("passes.x.ratio=1", "passes has no item 'x'"),
        ("model.x=1", "model has nothing inside"),
        ("passes.0.ratio=[", "this is not valid YAML"),
        ("passes.0.ratio=2", "ratio: it must be less than 1, not 2"),
        ("passes.0.ration=0.2", "pass shrink has no parameter 'ration'"),
        ("sead=1", "the recipe has no key 'sead'"),
        ("measure.time=x", "measure.time: 'x' is not a time"),
    ],
)
def test_a_wrong_change_is_told_with_the_option_it_was_given_by(override: str, what: str) -> None:
    with pytest.raises(RecipeError) as caught:
        changed(override)
    [problem] = caught.value.problems
    assert problem.where == f"--set {override}"
    assert problem.what.startswith(what)
