import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper

from optkit.cli import main
from optkit.meters import Fresh

Optkit = Callable[..., Result]


def classifier(path: Path, noise: float = 0.0, output: str = "logits", taken: str = "x") -> None:
    """x [n, 4] → scores of three classes."""
    dice = np.random.default_rng(1)
    weights = dice.normal(size=(4, 3)) + noise * np.random.default_rng(2).normal(size=(4, 3))
    ports = (
        [helper.make_tensor_value_info(taken, TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", 3])],
    )
    stored = onnx.numpy_helper.from_array(weights.astype(np.float32), "w")
    graph = helper.make_graph([helper.make_node("MatMul", [taken, "w"], [output])], "tiny", *ports, [stored])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two models and data that the first answers rightly, and the current one."""
    monkeypatch.chdir(tmp_path)
    # fresh processes take seconds; tests/measure has them
    monkeypatch.setattr("optkit.measure._side_by_side.cold_starts", lambda paths, *_: [[Fresh(0.01, 0.001, 10**6)] * 6 for _ in paths])
    classifier(tmp_path / "before.onnx")
    classifier(tmp_path / "after.onnx", noise=0.05)
    x = np.random.default_rng(3).normal(size=(300, 4)).astype(np.float32)
    weights = onnx.numpy_helper.to_array(onnx.load(tmp_path / "before.onnx").graph.initializer[0])
    np.savez(tmp_path / "data.npz", x=x, labels=(x @ weights).argmax(axis=1))
    np.savez(tmp_path / "unlabelled.npz", x=x)
    return tmp_path


@pytest.fixture
def optkit() -> Optkit:
    return lambda *line: CliRunner().invoke(main, [*line, "--time", "0.1s"], prog_name="optkit")


@pytest.mark.slow
def test_a_table_of_accuracy_fidelity_and_cost(room: Path, optkit: Optkit) -> None:
    shown = optkit("compare", "before.onnx", "after.onnx", "--data", "data.npz", "--report", "r.json", "--markdown", "r.md")
    assert shown.exit_code == 0, shown.stderr
    assert shown.stdout.startswith("before.onnx → after.onnx\ncpu, batch 1, 1 thread\n")
    for row in ("accuracy\n  top1", "fidelity\n  agreement", "cost\n  latency, median", "file size"):
        assert row in shown.stdout
    assert "300 examples of data.npz, with labels" in shown.stdout
    assert "| top1 | 100.00% |" in (room / "r.md").read_text()
    kept = json.loads((room / "r.json").read_text())
    assert {delta["metric"] for delta in kept["deltas"]} >= {
        "top1",
        "agreement",
        "latency_median",
        "throughput",
        "size",
        "memory",
        "load_time",
    }
    assert sorted(path.name for path in room.iterdir()) == ["after.onnx", "before.onnx", "data.npz", "r.json", "r.md", "unlabelled.npz"]


@pytest.mark.slow
def test_json_is_all_that_stdout_carries(room: Path, optkit: Optkit) -> None:
    shown = optkit(
        "compare", "before.onnx", "after.onnx", "--data", "data.npz", "--metric", "top1", "--batch", "1,4", "--json", "--verbose"
    )
    deltas = json.loads(shown.stdout)["deltas"]
    assert [(delta["batch"]) for delta in deltas if delta["metric"] == "latency_median"] == [1, 4]
    assert [delta["before"] for delta in deltas if delta["metric"] == "top1"] == [1.0]
    assert "nodes on CPUExecutionProvider" in shown.stderr


@pytest.mark.slow
def test_without_labels_it_is_fidelity_and_never_accuracy(room: Path, optkit: Optkit) -> None:
    for line in (["--data", "unlabelled.npz"], ["--synthetic"]):
        shown = optkit("compare", "before.onnx", "after.onnx", *line)
        assert shown.exit_code == 0, shown.stderr
        assert "fidelity" in shown.stdout
        assert "\naccuracy" not in shown.stdout
        assert "top1" not in shown.stdout
    assert "the inputs are made up" in shown.stdout


@pytest.mark.slow
def test_several_models_stand_beside_each_other(room: Path, optkit: Optkit) -> None:
    classifier(room / "third.onnx", noise=3)
    shown = optkit("compare", "before.onnx", "after.onnx", "third.onnx", "--data", "data.npz")
    assert "before.onnx → after.onnx, third.onnx" in shown.stdout
    assert shown.stdout.count("latency, median") == 1


@pytest.mark.slow
def test_devices_may_be_repeated_or_listed(room: Path, optkit: Optkit) -> None:
    shown = optkit(
        "compare", "before.onnx", "after.onnx", "--data", "data.npz", "--device", "cpu,CPUExecutionProvider", "--device", "cpu", "--json"
    )
    assert shown.exit_code == 0, shown.stderr
    found = [delta["device"] for delta in json.loads(shown.stdout)["deltas"] if delta["metric"] == "latency_median"]
    assert found == ["cpu", "CPUExecutionProvider"]


@pytest.mark.slow
def test_a_part_of_the_examples(room: Path, optkit: Optkit) -> None:
    shown = optkit("compare", "before.onnx", "after.onnx", "--data", "data.npz", "--samples", "50")
    assert "50 examples of data.npz" in shown.stdout
    assert "50 examples are few" in shown.stdout


@pytest.mark.slow
def test_layers_are_compared_where_that_is_asked_for(room: Path, optkit: Optkit) -> None:
    classifier(room / "third.onnx", noise=3)
    shown = optkit("compare", "before.onnx", "after.onnx", "third.onnx", "--data", "data.npz", "--layers", "--report", "r.json")
    assert shown.exit_code == 0, shown.stderr
    assert "before.onnx → after.onnx, layer by layer" in shown.stdout
    assert "before.onnx → third.onnx, layer by layer" in shown.stdout
    assert shown.stdout.count("First bad layer: logits (MatMul)") == 1
    kept = json.loads((room / "r.json").read_text())["layers"]
    assert [(each["after"], each["data"], each["examples"]) for each in kept] == [
        ("after.onnx", "data.npz", 16),
        ("third.onnx", "data.npz", 16),
    ]
    assert kept[0]["layers"][0]["sqnr"] > 20 > kept[1]["layers"][0]["sqnr"]


def test_without_data_it_says_which_it_wants_and_how_to_make_it(room: Path, optkit: Optkit) -> None:
    shown = optkit("compare", "before.onnx", "after.onnx")
    assert shown.exit_code == 2
    assert shown.stderr.startswith("before.onnx: no data to compare on\nhint: ")
    for word in ("x: float32 [N, 4]", "np.savez('data.npz', x=…, labels=…)", "--synthetic"):
        assert word in shown.stderr


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (["before.onnx", "after.onnx", "--data", "data.npz", "--markdown", "none/r.md"], "none: there is no such folder"),
        (["before.onnx", "after.onnx", "--data", "data.npz", "--report", "after.onnx"], "after.onnx: this file is read"),
        (["before.onnx", "after.onnx", "--data", "data.npz", "--report", "./data.npz"], "data.npz: this file is read"),
        (["before.onnx", "after.onnx", "--data", "data.npz[:9]", "--report", "data.npz"], "data.npz: this file is read"),
        (["before.onnx", "after.onnx", "--data", "unlabelled.npz", "--metric", "top1"], "labels"),
        (["before.onnx", "after.onnx", "--data", "data.npz", "--metric", "tops"], "no metric is called 'tops'"),
        (["before.onnx"], "missing argument"),
    ],
)
def test_mistakes_are_told_before_anything_is_measured(room: Path, optkit: Optkit, line: list[str], complaint: str) -> None:
    names = sorted(room.iterdir())
    shown = optkit("compare", *line)
    assert shown.exit_code == 2
    assert complaint in shown.stderr
    assert len(shown.stderr.strip().splitlines()) == 2
    assert sorted(room.iterdir()) == names


def test_two_models_that_name_their_answers_differently(room: Path, optkit: Optkit) -> None:
    classifier(room / "other.onnx", output="scores")
    shown = optkit("compare", "before.onnx", "other.onnx", "--data", "data.npz")
    assert shown.exit_code == 2
    assert "'logits'" in shown.stderr


def test_two_models_whose_inputs_have_different_names(room: Path, optkit: Optkit) -> None:
    classifier(room / "other.onnx", taken="image")
    shown = optkit("compare", "before.onnx", "other.onnx", "--data", "data.npz")
    assert shown.exit_code == 2
    assert "other.onnx: it wants 'image', and the data has 'x'" in shown.stderr
    assert "compared on the same inputs, by name" in shown.stderr


@pytest.mark.slow
def test_parts_of_the_data_are_shown_the_worst_first(room: Path, optkit: Optkit) -> None:
    shown = optkit("compare", "before.onnx", "after.onnx", "--data", "data.npz", "--metric", "top1", "--by", "label", "--report", "r.json")
    assert shown.exit_code == 0, shown.stderr
    assert "top1 by label, on cpu, worst first\nlabel  examples " in shown.stdout
    found = json.loads((room / "r.json").read_text())["slices"]
    assert {each["value"] for each in found} == {"0", "1", "2"}
    assert sum(each["examples"] for each in found) == 300
    gains = [each["gain"] for each in found if each["verdict"] != "worse"]
    assert gains == sorted(gains)


@pytest.mark.parametrize(
    ("by", "complaint"),
    [("labels", "did you mean 'label'"), ("site", "the data has no column 'site'")],
)
def test_parts_that_the_data_does_not_have(room: Path, optkit: Optkit, by: str, complaint: str) -> None:
    shown = optkit("compare", "before.onnx", "after.onnx", "--data", "data.npz", "--by", by)
    assert shown.exit_code == 2
    assert complaint in shown.stderr
    shown = optkit("compare", "before.onnx", "after.onnx", "--data", "unlabelled.npz", "--by", "label")
    assert shown.exit_code == 2
    assert "add an array 'labels'" in shown.stderr


@pytest.mark.slow
def test_a_model_is_held_against_a_stored_report(room: Path, optkit: Optkit) -> None:
    assert optkit("compare", "before.onnx", "after.onnx", "--data", "data.npz", "--metric", "top1", "--report", "main.json").exit_code == 0
    same = optkit("gate", "after.onnx", "--data", "data.npz", "--baseline", "main.json", "--max-drop", "5%", "--max-size", "1")
    assert same.exit_code == 0, same.stderr + same.stdout
    assert same.stdout.startswith("after.onnx (baseline) → after.onnx\n")
    assert "the same on all 300 examples" in same.stdout
    classifier(room / "after.onnx", noise=2.0)
    worse = optkit("gate", "before.onnx", "after.onnx", "--data", "data.npz", "--baseline", "main.json", "--preset", "mlperf-99")
    assert worse.exit_code == 1
    assert "--preset mlperf-99" in worse.stdout
    other = optkit("gate", "after.onnx", "--data", "data.npz[:100]", "--baseline", "main.json", "--max-drop", "1%", "--strict")
    assert other.exit_code == 1
    assert "not compared: the stored report rests on other examples" in " ".join(other.stdout.split())


def test_a_recipe_may_name_a_baseline(room: Path, optkit: Optkit) -> None:
    from optkit.recipe import read_recipe

    text = "model: before.onnx\ndata: {evaluation: data.npz}\npasses: [simplify_graph]\nmeasure: {by: label}\n"
    (room / "r.yaml").write_text(text + "gate: {baseline: main.json, preset: mlperf-99.9}\n")
    recipe = read_recipe(room / "r.yaml")
    assert recipe.gate is not None
    assert (recipe.gate.baseline, recipe.gate.preset) == (str(room / "main.json"), "mlperf-99.9")
    assert recipe.measure.by == ("label",)
