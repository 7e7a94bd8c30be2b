"""`run` and `check`: a recipe from model to verdict."""

import json

import pytest

from optkit.manifest import changes
from optkit.report import parse_report

from .rooms import Optkit, Room, two_lines

RECIPE = """\
model: model.onnx
data: data.npz
passes:
  - simplify_graph
  - quantize_dynamic
measure: {time: 100ms}
gate: {max_size: 0.5}
"""
pytestmark = pytest.mark.usefixtures("no_cold_starts")


@pytest.fixture
def recipe(room: Room) -> Room:
    (room.path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    return room


@pytest.mark.slow
def test_run_prints_the_report_and_writes_model_and_reports(recipe: Room, optkit: Optkit) -> None:
    ended = optkit("run", "recipe.yaml")
    assert ended.exit_code == 0, ended.output
    for told in ("latency", "file size", "PASSED", "16 examples to calibrate with, 48 others to compare on", "quantize_dynamic: operators"):
        assert told in " ".join(ended.stdout.split())
    assert ended.stderr == "written: recipe/model.onnx, with report.json, report.md and report.html beside it\n"
    assert {file.name for file in (recipe.path / "recipe").iterdir()} == {"model.onnx", "report.html", "report.json", "report.md"}
    assert changes(recipe.path / "recipe" / "model.onnx") == []


@pytest.mark.slow
def test_run_is_quiet_when_told_to_and_speaks_json(recipe: Room, optkit: Optkit) -> None:
    ended = optkit("run", "recipe.yaml", "-o", "made", "--json", "--quiet")
    assert (ended.exit_code, ended.stderr) == (0, "")
    report = parse_report(ended.stdout, recipe.path)
    assert [each.name for each in report.measurements] == ["room/model.onnx", "made/model.onnx"]
    assert json.loads(ended.stdout)["deltas"]


@pytest.mark.slow
def test_a_broken_limit_ends_with_1_and_keeps_the_model_to_look_at(recipe: Room, optkit: Optkit) -> None:
    ended = optkit("run", "recipe.yaml", "--set", "gate.max_size=1%", "-o", "made")
    assert ended.exit_code == 1
    assert "FAILED" in ended.stdout
    assert (recipe.path / "made" / "model.onnx").exists()


@pytest.mark.slow
def test_model_and_data_can_be_given_in_place_of_the_recipes(recipe: Room, optkit: Optkit) -> None:
    recipe.copy.rename(recipe.path / "other.onnx")
    recipe.data.rename(recipe.path / "other.npz")
    ended = optkit("run", "recipe.yaml", "--model", "other.onnx", "--data", "other.npz", "-o", "made")
    assert ended.exit_code == 0, ended.output
    assert (recipe.path / "made" / "other.onnx").exists()


@pytest.mark.slow
def test_what_is_there_is_replaced_only_when_told_to(recipe: Room, optkit: Optkit) -> None:
    assert optkit("run", "recipe.yaml").exit_code == 0
    what, hint = two_lines(optkit("run", "recipe.yaml"))
    assert (what, "--force" in hint) == ("recipe/model.onnx: the file exists already", True)
    before = (recipe.path / "recipe" / "model.onnx").read_bytes()
    assert optkit("run", "recipe.yaml", "--force", "--no-cache").exit_code == 0
    assert (recipe.path / "recipe" / "model.onnx").read_bytes() == before


def test_nothing_that_pays_ends_with_1_and_leaves_nothing(recipe: Room, optkit: Optkit) -> None:
    ended = optkit("run", "recipe.yaml", "--set", "passes.1.exclude=[Gemm]")
    assert ended.exit_code == 1
    assert ended.stderr.startswith("recipe.yaml:5: no matrix product with float weights is left")
    assert not (recipe.path / "recipe").exists()


@pytest.mark.slow
def test_check_shows_what_a_run_would_do_and_what_is_already_there(recipe: Room, optkit: Optkit) -> None:
    before = recipe.names()
    ended = optkit("check", "recipe.yaml", "--set", "passes.1.exclude=[w]", "--set", "seed=77")
    assert ended.exit_code == 0, ended.output
    assert recipe.names() == before
    lines = ended.stdout.splitlines()
    assert lines[0] == "model        model.onnx"
    assert lines[1:3] == ["calibration  16 labelled examples of data.npz", "evaluation   48 labelled examples of data.npz"]
    assert lines[3:5] == ["step 1       simplify_graph", "step 2       quantize_dynamic (exclude: [w])"]
    assert lines[-1] == "recipe.yaml can be run"
    assert optkit("run", "recipe.yaml", "--set", "seed=77").exit_code == 0
    assert "simplify_graph, kept from an earlier run" in optkit("check", "recipe.yaml", "--set", "seed=77").stdout
    shown = json.loads(optkit("check", "recipe.yaml", "--set", "seed=77", "--json").stdout)
    assert [step["kept"] for step in shown["steps"]] == [True, True]
    assert shown["data"]["evaluation"] == {"source": "data.npz", "examples": 48, "labelled": True}


@pytest.mark.parametrize("command", ["run", "check"])
def test_mistakes_of_a_recipe_end_with_2_and_their_lines(command: str, recipe: Room, optkit: Optkit) -> None:
    ended = optkit(command, "recipe.yaml", "--set", "passes.0=simplify_graf", "--set", "gate.max_siz=1")
    assert ended.exit_code == 2
    lines = ended.stderr.splitlines()
    assert lines[0] == "--set gate.max_siz=1: gate has no key 'max_siz'"
    assert lines[2] == "--set passes.0=simplify_graf: no pass is called 'simplify_graf'"
    assert "did you mean 'simplify_graph'?" in lines[3]
