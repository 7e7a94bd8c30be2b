"""Models whose layers are spoiled, renamed or rewritten on purpose: what is said must be what was done."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from optkit.arrays import Array
from optkit.artifact import Artifact
from optkit.datasets import Examples
from optkit.errors import DataError, ModelError
from optkit.layers import LayerComparison, compare_layers
from optkit.layers.walk import fewer

NAMES = ("first", "second", "third", "fourth")
DATA = Examples("data.npz", {"x": np.random.default_rng(5).normal(size=(6, 8)).astype(np.float32)})


def save(
    path: Path, nodes: Sequence[onnx.NodeProto], weights: dict[str, Array], outputs: Sequence[str] = ("y",), **shapes: Any
) -> Artifact:
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shapes.get("x", ["n", 8]))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return Artifact(path, "onnx", path.name)


def chain(path: Path, spoiled: dict[str, float] | None = None, rename: Callable[[str], str] = str, suffix: str = "") -> Artifact:
    """Four products with a Relu behind each; weights of `spoiled` layers get so much noise (relative)."""
    dice = np.random.default_rng(1)
    weights, nodes, held = {}, [], "x"
    for name in NAMES:
        weight = dice.normal(size=(8, 8)) / 2
        weight += (spoiled or {}).get(name, 0.0) * np.random.default_rng(9).normal(size=(8, 8)) / 2
        weights[f"{name}_w"] = weight.astype(np.float32)
        nodes.append(helper.make_node("MatMul", [held, f"{name}_w"], [rename(f"{name}_product")], name=f"{name}{suffix}"))
        held = "y" if name == NAMES[-1] else rename(f"{name}_relu")
        nodes.append(helper.make_node("Relu", [rename(f"{name}_product")], [held], name=f"{name}_activation{suffix}"))
    return save(path, nodes, weights)


def compared(before: Artifact, after: Artifact, examples: Examples = DATA) -> LayerComparison:
    (found,) = compare_layers(before, [after], examples, names=["before", "after"])
    return found


def inner(artifact: Artifact, name: str) -> Array:
    """A tensor by ONNX's reference evaluator."""
    model = onnx.load(artifact.path)
    model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    answers: Any = ReferenceEvaluator(model).run([name], {"x": DATA.arrays["x"]})
    return np.asarray(answers[0])


def sqnr(truth: Array, got: Array) -> float:
    return float(10 * np.log10((truth.astype(float) ** 2).sum() / ((truth.astype(float) - got) ** 2).sum()))


def test_identical_models_are_identical_everywhere(tmp_path: Path) -> None:
    found = compared(chain(tmp_path / "a.onnx"), chain(tmp_path / "b.onnx"))
    assert [layer.sqnr for layer in found.layers] == [120.0] * 8
    assert [layer.own for layer in found.layers] == [120.0] * 8
    assert (found.first_bad, found.worst, found.skipped) == (None, (), {})


@pytest.mark.parametrize("spoiled", NAMES)
def test_the_layer_that_was_spoiled_is_named(tmp_path: Path, spoiled: str) -> None:
    before, after = chain(tmp_path / "a.onnx"), chain(tmp_path / "b.onnx", {spoiled: 0.3})
    found = compared(before, after)
    assert found.first_bad is not None
    assert found.first_bad.node == spoiled
    assert [layer.node for layer in found.layers if layer.own < 120] == [spoiled]
    ((worst, share),) = found.worst
    assert (worst.node, share) == (spoiled, 1.0)
    place = [layer.node for layer in found.layers].index(spoiled)
    assert all(layer.sqnr == 120.0 for layer in found.layers[:place])
    assert worst.effect == pytest.approx(found.layers[-1].sqnr, abs=0.01)  # it alone makes all the noise


def test_ratios_are_those_of_the_reference_evaluator(tmp_path: Path) -> None:
    before, after = chain(tmp_path / "a.onnx"), chain(tmp_path / "b.onnx", {"second": 0.1, "third": 0.02})
    found = {layer.tensor: layer for layer in compared(before, after).layers}
    for name in ("second_product", "third_relu", "y"):
        assert found[name].sqnr == pytest.approx(sqnr(inner(before, name), inner(after, name)), abs=0.01)
    weights = {w.name: numpy_helper.to_array(w) for w in onnx.load(after.path).graph.initializer}
    alone = inner(before, "second_relu") @ weights["third_w"]
    assert found["third_product"].own == pytest.approx(sqnr(inner(before, "third_product"), alone), abs=0.01)


def test_layers_are_ranked_by_what_they_do_to_the_outputs(tmp_path: Path) -> None:
    """The oracle: models in which only one layer is spoiled."""
    before = chain(tmp_path / "a.onnx")
    noise = {"first": 0.01, "second": 0.1, "fourth": 0.03}
    found = compared(before, chain(tmp_path / "b.onnx", noise))
    alone = {}
    for name, amount in noise.items():
        one = compared(before, chain(tmp_path / f"{name}.onnx", {name: amount}))
        alone[name] = one.layers[-1].sqnr
    assert {layer.node: layer.effect for layer, _ in found.worst} == {n: pytest.approx(e, abs=0.01) for n, e in alone.items()}
    assert [layer.node for layer, _ in found.worst] == sorted(alone, key=lambda name: alone[name])
    assert sum(share for _, share in found.worst) == pytest.approx(1)


def test_tensors_that_lost_their_names_are_known_by_their_values(tmp_path: Path) -> None:
    found = compared(chain(tmp_path / "a.onnx"), chain(tmp_path / "b.onnx", {"third": 0.05}, lambda name: f"t{sum(map(ord, name))}", "_n"))
    assert {layer.matched for layer in found.layers[:-1]} == {"values"}
    assert len(found.layers) == 8
    assert [layer.node for layer, _ in found.worst] == ["third"]
    for layer in found.layers[:-1]:
        assert layer.after == f"t{sum(map(ord, layer.tensor))}"


def test_models_that_have_nothing_in_common(tmp_path: Path) -> None:
    node = helper.make_node("ReduceSum", ["x"], ["z"], keepdims=0)
    other = save(tmp_path / "b.onnx", [node], {}, ["z"])
    with pytest.raises(ModelError, match="no tensor in common with before") as caught:
        compared(chain(tmp_path / "a.onnx"), other)
    assert len(str(caught.value).splitlines()) == 2


def test_the_worst_of_several_outputs_counts(tmp_path: Path) -> None:
    def two(path: Path, noise: float) -> Artifact:
        dice = np.random.default_rng(2)
        weights = {"a": dice.normal(size=(8, 4)), "b": dice.normal(size=(8, 4)) + noise}
        nodes = [helper.make_node("MatMul", ["x", name], [f"out_{name}"], name=name) for name in weights]
        return save(path, nodes, {k: v.astype(np.float32) for k, v in weights.items()}, ["out_a", "out_b"])

    found = compared(two(tmp_path / "a.onnx", 0), two(tmp_path / "b.onnx", 0.1))
    assert [layer.sqnr == 120 for layer in found.layers] == [True, False]
    ((worst, _),) = found.worst
    assert worst.tensor == "out_b"
    assert worst.effect == pytest.approx(worst.sqnr, abs=0.01)


def test_probabilities_hide_nothing(tmp_path: Path) -> None:
    """Noise at the outputs is that of the scores behind a softmax, of which only differences count."""

    def sure(path: Path, noise: float) -> Artifact:
        weight = (np.eye(8) * 60 + 30 + noise * np.random.default_rng(3).normal(size=(8, 8))).astype(np.float32)
        nodes = [helper.make_node("MatMul", ["x", "w"], ["scores"], name="m"), helper.make_node("Softmax", ["scores"], ["y"], name="s")]
        return save(path, nodes, {"w": weight})

    before, after = sure(tmp_path / "a.onnx", 0), sure(tmp_path / "b.onnx", 1)
    ((worst, _),) = compared(before, after).worst
    centred = [scores - scores.mean(axis=1, keepdims=True) for scores in (inner(before, "scores"), inner(after, "scores"))]
    assert worst.node == "m"
    assert worst.effect == pytest.approx(sqnr(*centred), abs=0.01)
    assert abs(worst.sqnr - sqnr(*centred)) > 0.5


def test_tensors_that_were_fused_away_are_counted(tmp_path: Path) -> None:
    before = chain(tmp_path / "a.onnx")
    model = onnx.load(before.path)
    weights = {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}
    nodes = [helper.make_node("MatMul", ["x", "first_w"], ["y"], name="all")]
    found = compared(before, save(tmp_path / "b.onnx", nodes, {"first_w": weights["first_w"]}))
    assert [layer.tensor for layer in found.layers] == ["first_product", "y"] or [layer.tensor for layer in found.layers] == ["y"]
    assert sum(found.skipped.values()) == 8 - len(found.layers)
    assert all("not in the other model" in why for why in found.skipped)


def test_values_that_are_not_finite_are_bad(tmp_path: Path) -> None:
    found = compared(chain(tmp_path / "a.onnx"), chain(tmp_path / "b.onnx", {"second": float("inf")}))
    assert found.first_bad is not None
    assert (found.first_bad.node, found.first_bad.sqnr) == ("second", -np.inf)
    assert found.worst[0][0].node == "second"


def test_models_of_one_batch_size(tmp_path: Path) -> None:
    def fixed(path: Path, noise: float) -> Artifact:
        weight = (np.eye(8) + noise).astype(np.float32)
        return save(path, [helper.make_node("MatMul", ["x", "w"], ["y"], name="m")], {"w": weight}, x=[4, 8])

    found = compared(fixed(tmp_path / "a.onnx", 0), fixed(tmp_path / "b.onnx", 0.01))
    assert 20 < found.layers[0].sqnr < 60


def test_several_models_each_have_their_own(tmp_path: Path) -> None:
    before = chain(tmp_path / "a.onnx")
    afters = [chain(tmp_path / f"{name}.onnx", {name: 0.3}) for name in NAMES[:2]]
    found = compare_layers(before, afters, DATA, names=["a", "b", "c"])
    assert [(each.before, each.after, each.worst[0][0].node) for each in found] == [("a", "b", "first"), ("a", "c", "second")]


def test_memory_holds_a_group_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = chain(tmp_path / "a.onnx"), chain(tmp_path / "b.onnx", {"second": 0.3, "fourth": 0.1})
    whole = compared(before, after)
    monkeypatch.setattr("optkit.layers.watch.HELD", 1)
    monkeypatch.setattr("optkit.layers.watch.SURVEYED_TOGETHER", 2)
    assert compared(before, after) == whole


@given(st.integers(1, 64), st.floats(0, 100), st.floats(1e-6, 100))
def test_slow_models_are_looked_at_with_fewer_examples(most: int, seconds: float, each: float) -> None:
    count = fewer(most, seconds, each)
    assert 1 <= count <= most
    assert count == 1 or count * each <= seconds
    assert count == most or 2 * count * each > seconds, "no fewer than needed"


def test_a_model_without_time_is_looked_at_with_one_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = chain(tmp_path / "a.onnx"), chain(tmp_path / "b.onnx", {"first": 0.01, "second": 0.3, "fourth": 0.1})
    whole = compared(before, after)
    monkeypatch.setattr("optkit.layers.walk.SECONDS", 0.0)
    monkeypatch.setattr("optkit.layers.effects.AT_LEAST", 2)
    found = compared(before, after)
    assert (whole.examples, found.examples) == (len(DATA), 1)
    assert [layer.tensor for layer in found.layers] == [layer.tensor for layer in whole.layers]
    noisiest = sorted(found.layers, key=lambda layer: layer.own)[:2]
    assert {layer.node for layer, _ in found.worst} == {layer.node for layer in noisiest} == {"second", "fourth"}


def test_layers_that_matter_are_looked_at_with_what_is_left_of_the_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = chain(tmp_path / "a.onnx"), chain(tmp_path / "b.onnx", {"first": 0.001, "second": 0.3, "fourth": 0.002})
    effects = {layer.node: layer.effect for layer, _ in compared(before, after).worst}
    monkeypatch.setattr("optkit.layers.effects.RUNS", 3 + len(DATA))
    found = {layer.node: layer.effect for layer, _ in compared(before, after).worst}
    assert found["second"] == effects["second"], "on all examples"
    assert found["first"] != effects["first"], "on one"


def test_made_up_examples_are_no_data_to_quantize_with(tmp_path: Path) -> None:
    made_up = replace(DATA, synthetic=True)
    assert compared(chain(tmp_path / "a.onnx"), chain(tmp_path / "b.onnx"), made_up).data == ""


def test_a_model_that_takes_other_inputs_is_named(tmp_path: Path) -> None:
    other = save(tmp_path / "b.onnx", [helper.make_node("Relu", ["x"], ["y"])], {}, x=["n", 9])
    with pytest.raises(DataError) as caught:
        compared(chain(tmp_path / "a.onnx"), other)
    assert str(caught.value).startswith(f"{tmp_path / 'b.onnx'}: input 'x' wants shape")
    assert len(str(caught.value).splitlines()) == 2
