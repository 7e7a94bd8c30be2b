"""`init`, `recipes`, `passes`, `cache` and `verify`: what stands around a recipe."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest

from optkit.plan import make_plan
from optkit.plan.preview import gather
from optkit.quantization.variants.wishes import Wishes
from optkit.recipe import read_recipe
from optkit.recipe.reading import recipe_from
from optkit.recipe.ready import folder, ready_recipes
from optkit.registry import load, members

from .rooms import Optkit, Room, two_lines


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optkit.passes.quantize.Wishes", partial(Wishes, seconds=0.1))


def test_init_writes_a_recipe_that_can_be_run(room: Room, optkit: Optkit) -> None:
    ended = optkit("init", "model.onnx", "--data", "data.npz")
    assert (ended.exit_code, ended.stdout) == (0, "model.yaml: simplify_graph → quantize\nnext: optkit run model.yaml\n")
    recipe = read_recipe(room.path / "model.yaml")
    assert len(gather(make_plan(recipe)).examples["evaluation"]) == 48
    assert recipe.gate is not None
    assert recipe.gate.max_drop == 0.01


def test_init_without_data_makes_inputs_up_and_without_labels_limits_agreement(room: Room, optkit: Optkit) -> None:
    assert optkit("init", "model.onnx", "-o", "a.yaml").exit_code == 0
    assert read_recipe("a.yaml").data.synthetic
    np.savez("plain.npz", x=np.load("data.npz")["x"])
    assert optkit("init", "model.onnx", "--data", "plain.npz[:32]", "-o", "b.yaml").exit_code == 0
    for name in ("a.yaml", "b.yaml"):
        recipe = read_recipe(name)
        gather(make_plan(recipe))
        assert recipe.gate is not None
        assert (recipe.gate.max_drop, recipe.gate.min_agreement) == (None, 0.98)


def test_init_writes_paths_as_seen_from_the_recipe(room: Room, optkit: Optkit) -> None:
    (room.path / "sub: dir").mkdir()
    odd = room.path / "my #1: model.onnx"
    room.model.rename(odd)
    assert optkit("init", odd.name, "--data", "data.npz", "-o", "sub: dir/r.yaml").exit_code == 0
    recipe = read_recipe(Path("sub: dir/r.yaml"))
    assert recipe.model == Path(odd.name)
    assert recipe.data.whole == "data.npz"


def test_init_speaks_json_and_keeps_what_is_there(room: Room, optkit: Optkit) -> None:
    shown = json.loads(optkit("init", "model.onnx", "--json").stdout)
    assert (shown["recipe"], shown["kind"], shown["passes"]) == ("model.yaml", "other", ["simplify_graph", "quantize"])
    assert "Gemm" in shown["why"][0]
    assert "exists already" in two_lines(optkit("init", "model.onnx"))[0]
    assert optkit("init", "model.onnx", "--force").exit_code == 0


KINDS = {
    "cnn": "(float[1,3,8,8] x) => (float[1,4,8,8] y) <float[4,3,1,1] w = {0,1,2,3,4,5,6,7,8,9,10,11}> { y = Conv(x, w) }",
    "transformer": """(float[1,2,4] x) => (float[1,2,4] y) <float[4,4] w = {0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15}, float[4] s = {1,1,1,1}>
        { n = LayerNormalization(x, s)
          q = MatMul(n, w)
          t = Transpose<perm=[0,2,1]>(q)
          a = MatMul(q, t)
          p = Softmax(a)
          y = MatMul(p, n) }""",
    "nothing to quantize": "(float[1,3] x) => (float[1,3] y) { y = Relu(x) }",
}


@pytest.mark.parametrize(("kind", "graph"), KINDS.items(), ids=KINDS)
def test_init_looks_at_the_operators(kind: str, graph: str, room: Room, optkit: Optkit) -> None:
    onnx.save(onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["" : 17]> g {graph}'), room.model)
    shown = json.loads(optkit("init", "model.onnx", "--json").stdout)
    assert shown["kind"] == kind
    assert ("fuse_transformer" in shown["passes"]) == (kind == "transformer")
    assert ("quantize" in shown["passes"]) == (kind != "nothing to quantize")


@pytest.mark.slow
def test_init_sees_a_model_that_is_quantized(room: Room, optkit: Optkit) -> None:
    assert optkit("quantize", "model.onnx", "--int8", "--method", "weights", "--accept-size-only").exit_code == 0
    assert json.loads(optkit("init", "model.int8.onnx", "--json").stdout)["kind"] == "quantized"


def test_recipes_are_listed_with_what_each_is_for_and_printed_as_they_are(optkit: Optkit) -> None:
    listed = optkit("recipes").stdout
    for ready in ready_recipes():
        assert f"{ready.name}  " in listed
        assert len(ready.purpose) > 20
        printed = optkit("recipes", ready.name).stdout
        assert printed == ready.path.read_text(encoding="utf-8")
        assert recipe_from(printed).steps
    shown = json.loads(optkit("recipes", "--json").stdout)
    assert [each["name"] for each in shown] == [ready.name for ready in ready_recipes()]
    assert json.loads(optkit("recipes", "int8_cnn", "--json").stdout)["text"].startswith("# yaml")


def test_the_catalogue_lists_every_recipe() -> None:
    catalogue = (folder() / "README.md").read_text(encoding="utf-8")
    assert {ready.name for ready in ready_recipes()} >= {"int8_cnn", "int8_transformer", "fp16_gpu", "smallest_file"}
    for ready in ready_recipes():
        assert f"[{ready.name}]({ready.name}.yaml)" in catalogue


def test_recipes_come_with_an_installed_package_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "optkit"
    (package / "recipes_shipped").mkdir(parents=True)
    (package / "recipes_shipped" / "mine.yaml").write_text("# For nobody.\n", encoding="utf-8")
    monkeypatch.setattr("optkit.__file__", str(package / "__init__.py"))
    assert [(ready.name, ready.purpose) for ready in ready_recipes()] == [("mine", "For nobody.")]


def test_passes_are_listed_and_explained(optkit: Optkit) -> None:
    listed = optkit("passes").stdout
    for word in members("passes"):
        assert f"{word} " in listed
        shown = optkit("passes", word).stdout
        for name, field in load("passes", word).model_fields.items():
            assert f"\n  {name}  " in shown
            assert " ".join((field.description or "").split()) in " ".join(shown.split())
    shown = json.loads(optkit("passes", "quantize_static", "--json").stdout)
    assert (shown["draws"], shown["draws_if_given"], shown["takes"]) == ("calibration", False, "onnx")
    (samples,) = [each for each in shown["parameters"] if each["name"] == "samples"]
    assert (samples["takes"], samples["default"]) == ("a whole number, at least 1", "128")
    assert [each["name"] for each in json.loads(optkit("passes", "--json").stdout)] == list(members("passes"))


def test_the_schema_is_printed_as_it_lies_beside_the_recipes(optkit: Optkit) -> None:
    assert optkit("passes", "--schema").stdout == (folder() / "recipe.schema.json").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_cache_shows_what_it_keeps_and_frees_it(room: Room, optkit: Optkit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTKIT_CACHE", str(tmp_path / "kept"))
    assert "0 steps, 0 B of at most 5.00 GB" in optkit("cache").stdout
    line = ["quantize", "model.onnx", "--int8", "--method", "weights", "--accept-size-only", "-o"]
    assert optkit(*line, "a.onnx").exit_code == 0
    shown = json.loads(optkit("cache", "--json").stdout)
    assert (shown["folder"], shown["steps"], shown["freed"]) == (str(tmp_path / "kept"), 1, None)
    assert "1 step, " in optkit("cache").stdout
    assert optkit("cache", "--clear").stdout.endswith(f" freed in {tmp_path / 'kept'}\n")
    assert json.loads(optkit("cache", "--json").stdout)["bytes"] == 0


def test_verify_tells_a_changed_model_from_an_unchanged_one(room: Room, optkit: Optkit) -> None:
    assert optkit("quantize", "model.onnx", "--int8", "--method", "weights", "--accept-size-only").exit_code == 0
    ended = optkit("verify", "model.int8.onnx", "--source", "model.onnx")
    assert ended.exit_code == 0
    assert ended.stdout.splitlines()[-1] == "verified: it is as optkit wrote it, and it loads"
    assert "made from model.onnx" in ended.stdout
    assert "by quantize" in ended.stdout

    other = onnx.load("copy.onnx")
    other.producer_name = "someone else"
    onnx.save(other, "other.onnx")
    ended = optkit("verify", "model.int8.onnx", "--source", "other.onnx")
    assert (ended.exit_code, "other.onnx is not the model it was made from" in ended.stdout) == (1, True)

    changed = onnx.load("model.int8.onnx")
    changed.graph.node[0].name = "mine"
    onnx.save(changed, "model.int8.onnx")
    ended = optkit("verify", "model.int8.onnx", "--json")
    assert ended.exit_code == 1
    assert json.loads(ended.stdout)["wrong"] == ["model.int8.onnx was changed after optkit wrote it"]
