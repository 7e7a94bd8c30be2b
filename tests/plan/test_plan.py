from collections.abc import Callable
from pathlib import Path

import pytest

from optkit.errors import MissingLibrary, RecipeError
from optkit.plan import make_plan
from optkit.recipe import Recipe

Read = Callable[..., Recipe]


def problems(recipe: Recipe) -> list[tuple[int, str]]:
    with pytest.raises(RecipeError) as caught:
        make_plan(recipe)
    return [(int(problem.where.rpartition(":")[2]), problem.what) for problem in caught.value.problems]


def test_a_plan_knows_what_it_needs(recipe: Read) -> None:
    plan = make_plan(recipe("model: m.onnx", "data: d.npz", "passes: [scale, calibrated]", "measure: {devices: [openvino, cpu]}"))
    assert (plan.formats, plan.extras, plan.draws, plan.device) == (("onnx", "onnx", "onnx"), (), ("calibration",), "openvino")
    assert [type(step).__name__ for step in plan.steps] == ["Scale", "Calibrated"]
    assert [where.rpartition(":")[2] for where in plan.wheres] == ["3", "3"]


def test_everything_that_is_missing_is_said_at_once(recipe: Read) -> None:
    found = problems(
        recipe("model: no.onnx", "data: synthetic", "passes:", "- calibrated", "- melt", "- scale", "- needs_library", "output: no/where")
    )
    assert [line for line, _ in found] == [1, 4, 6, 7, 8]
    [model, data, chain, library, output] = [what for _, what in found]
    assert "no.onnx" in model
    assert chain == "scale takes onnx, and what melt gives is torch"
    assert data == "the pass calibrated needs calibration examples"
    assert "no such folder" in output
    assert library == "the pass needs_library needs mlperf_loadgen, which is not installed"


def test_a_missing_library_alone_names_the_command_that_installs_it(recipe: Read) -> None:
    with pytest.raises(MissingLibrary, match=r":3: the pass needs_library needs mlperf_loadgen, .*\nhint: pip install 'optkit\[loadgen\]'"):
        make_plan(recipe("model: m.onnx", "data: d.npz", "passes: [needs_library]"))


def test_a_library_that_several_steps_miss_is_told_once(recipe: Read) -> None:
    with pytest.raises(MissingLibrary, match="needs_library needs mlperf_loadgen"):
        make_plan(recipe("model: m.onnx", "data: d.npz", "passes: [needs_library, needs_library]"))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ("data: {evaluation: d.npz}", "the pass calibrated needs calibration examples"),
        ("data: synthetic", "the pass calibrated needs calibration examples"),
    ],
)
def test_examples_that_a_pass_draws_must_be_there(recipe: Read, data: str, what: str) -> None:
    assert [found for _, found in problems(recipe("model: m.onnx", data, "passes: [calibrated]"))] == [what]
    assert make_plan(recipe("model: m.onnx", data, "passes: [scale]"))


def test_something_to_compare_on_must_be_there(recipe: Read) -> None:
    [(line, what)] = problems(recipe("model: m.onnx", "passes: [scale]"))
    assert (line, what) == (1, "there is no data to compare original and result on")


def test_a_folder_is_no_model(recipe: Read, tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    [(line, what)] = problems(recipe("passes: [scale]", "data: d.npz", "model: dir"))
    assert (line, what) == (3, f"{tmp_path / 'dir'} is a folder, not a model")


def test_an_output_folder_is_made_but_not_the_one_it_stands_in(recipe: Read, tmp_path: Path) -> None:
    assert make_plan(recipe("model: m.onnx", "data: d.npz", "passes: [scale]", "output: new")).recipe.output == tmp_path / "new"
    assert [line for line, _ in problems(recipe("model: m.onnx", "data: d.npz", "passes: [scale]", "output: m.onnx"))] == [4]
