import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import optkit
from optkit.errors import RecipeError, UsageError
from optkit.follow import RunResult
from optkit.manifest import changes
from optkit.measure import Settings
from optkit.quantization.variants.wishes import Wishes
from optkit.recipe import Data, Recipe, Step
from optkit.recipe.reading import make_pass
from optkit.report import Report, load_report

WIDE = 64


@pytest.fixture(autouse=True)
def _short(no_cold_starts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optkit.passes.quantize.Wishes", partial(Wishes, seconds=0.1))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Two layers, and labels that are its own answers."""
    random = np.random.default_rng(0)
    make, number = onnx.helper, onnx.TensorProto.FLOAT
    weights = [random.standard_normal((WIDE, WIDE)).astype(np.float32) / 8 for _ in range(2)]
    nodes = [
        make.make_node("MatMul", ["x", "w0"], ["h"]),
        make.make_node("Relu", ["h"], ["r"]),
        make.make_node("MatMul", ["r", "w1"], ["y"]),
    ]
    ends = [make.make_tensor_value_info(name, number, ["N", WIDE]) for name in "xy"]
    stored = [onnx.numpy_helper.from_array(each, f"w{i}") for i, each in enumerate(weights)]
    graph = make.make_graph(nodes, "two_layers", ends[:1], ends[1:], stored)
    onnx.save(make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9), tmp_path / "m.onnx")
    x = random.standard_normal((200, WIDE)).astype(np.float32)
    labels = (np.maximum(x @ weights[0], 0) @ weights[1]).argmax(1)
    np.savez(tmp_path / "d.npz", x=x, labels=labels)
    return tmp_path / "m.onnx"


def recipe_file(folder: Path, *more: str) -> Path:
    file = folder / "r.yaml"
    lines = ["model: m.onnx", "data: d.npz", "passes: [quantize_dynamic]", "measure: {time: 100ms}", *more]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


@pytest.mark.slow
def test_a_recipe_ends_in_a_model_and_the_proof(model: Path, tmp_path: Path) -> None:
    result = optkit.run(recipe_file(tmp_path, "gate: {max_drop: 20%, max_size: 0.5}"), output=tmp_path / "out")
    assert isinstance(result, RunResult)
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["m.onnx", "report.html", "report.json", "report.md"]
    assert result.model.path == tmp_path / "out" / "m.onnx"
    assert changes(result.model.path) == []
    report = load_report(tmp_path / "out" / "report.json")
    assert report == result.report
    assert report.verdict is not None
    assert report.verdict.outcome == "passed"
    assert [each.name for each in report.measurements] == [f"{tmp_path.name}/m.onnx", "out/m.onnx"]
    assert report.measurements[1].model.path == result.model.path
    assert "150 others to compare on" in " ".join(report.notes)
    assert any(note.startswith("quantize_dynamic: operators: MatMul dynamic 2") for note in report.notes)
    assert "deltas" in json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_a_report_calls_a_model_what_it_will_be_called(model: Path, tmp_path: Path) -> None:
    """Also where the last folders of both have the same name."""
    out = tmp_path / "sub" / tmp_path.name
    out.parent.mkdir()
    report = optkit.run(recipe_file(tmp_path), output=out).report
    assert [each.name for each in report.measurements] == [f"{tmp_path.parent.name}/{tmp_path.name}/m.onnx", f"sub/{tmp_path.name}/m.onnx"]
    assert ".optkit-draft" not in (out / "report.json").read_text(encoding="utf-8") + (out / "report.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_broken_limit_is_in_the_verdict_and_the_model_is_there_to_see_why(model: Path, tmp_path: Path) -> None:
    result = optkit.run(recipe_file(tmp_path), changes=["gate.max_size=10%"], output=tmp_path / "out")
    assert result.report.verdict is not None
    assert result.report.verdict.outcome == "failed"
    assert result.model.path.exists()


@pytest.mark.slow
def test_a_recipe_may_be_made_in_python_and_gives_the_same_bytes(model: Path, tmp_path: Path) -> None:
    first = optkit.run(recipe_file(tmp_path, "seed: 5"), output=tmp_path / "a", cache=False)
    steps = (Step("quantize_dynamic", make_pass("quantize_dynamic", {}), "here"),)
    mine = Recipe("mine", model, steps, Data(whole=str(tmp_path / "d.npz")), Settings(seconds=0.1), seed=5)
    second = optkit.run(mine, output=tmp_path / "b")
    assert first.model.path.read_bytes() == second.model.path.read_bytes()
    assert (second.report.verdict, second.report.title) == (None, "mine")


@pytest.mark.slow
def test_outputs_that_are_there_are_kept_unless_forced(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.md").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"report\.md: the file exists already\nhint: replace it with --force"):
        optkit.run(recipe_file(tmp_path), output=out)
    assert [file.name for file in out.iterdir()] == ["report.md"]
    optkit.run(recipe_file(tmp_path), output=out, force=True)
    assert len(list(out.iterdir())) == 4
    with pytest.raises(UsageError, match="the output is the model that is read"):
        optkit.run(recipe_file(tmp_path), output=tmp_path, force=True)


def test_nothing_is_left_behind_when_it_is_interrupted(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*models: object, **asked: object) -> Report:
        raise KeyboardInterrupt

    monkeypatch.setattr("optkit.follow.prove", interrupted)
    file = recipe_file(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(KeyboardInterrupt):
        optkit.run(file, cache=False, output=tmp_path / "out")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(("more", "says"), [("passes: [quantise]", "stands here twice"), ("output: no/where", "there is no such folder")])
def test_mistakes_are_told_before_anything_is_made(model: Path, tmp_path: Path, more: str, says: str) -> None:
    file = recipe_file(tmp_path, more)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RecipeError, match=says):
        optkit.run(file)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_a_folder_is_named_after_the_recipe_where_nothing_else_is_said(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert optkit.run(recipe_file(tmp_path)).folder == Path("r")
    assert (tmp_path / "here" / "r" / "m.onnx").exists()


@pytest.mark.slow
def test_quantize_writes_beside_the_model_and_tells_what_it_chose(model: Path, tmp_path: Path) -> None:
    made = optkit.quantize(model, data=tmp_path / "d.npz", method="weights", accept_size_only=True, samples=16)
    assert made.path == tmp_path / "m.int8.onnx"
    assert made.path.stat().st_size < model.stat().st_size / 2
    [step] = made.lineage
    assert (step.by, step.parameters["samples"]) == ("quantize", 16)
    assert step.notes["method"]
    with pytest.raises(UsageError, match="the file exists already"):
        optkit.quantize(model, data=tmp_path / "d.npz")


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"methd": "static"}, r"quantize: pass quantize has no parameter 'methd'\nhint: did you mean 'method'\?"),
        ({"method": "statc", "samples": 0}, r"quantize: method: 'statc' is not allowed; samples: it must be greater"),
    ],
)
def test_wrong_parameters_are_told(model: Path, parameters: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        optkit.quantize(model, **parameters)


@pytest.mark.slow
def test_compare_measures_models_side_by_side(model: Path, tmp_path: Path) -> None:
    report = optkit.compare(model, model, data=tmp_path / "d.npz", metrics=["top1"], seconds=0.1)
    [comparison] = report.comparisons
    [top1] = [delta for delta in comparison.deltas if delta.metric == "top1"]
    assert (top1.before, top1.after, top1.n) == (1, 1, 200)
    with pytest.raises(UsageError, match="no data to compare on"):
        optkit.compare(model, model)


def test_importing_a_module_does_not_hide_the_verb_of_its_name() -> None:
    import optkit.compare
    import optkit.report

    assert callable(optkit.compare)
    assert optkit.compare.__module__ == "optkit.api"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        optkit.nothing  # noqa: B018
