"""Loops go on behind their first round, and the model answers as before."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from optkit.arrays import Array
from optkit.artifact import Artifact
from optkit.datasets import Examples
from optkit.formats.onnx import load_model
from optkit.layers import compare_layers
from optkit.layers.loops import FIRST
from optkit.layers.unfold import unfold

X = np.random.default_rng(5).normal(size=(4, 8)).astype(np.float32)
EXAMPLES = Examples("data.npz", {"x": X})


def port(name: str, kind: int = TensorProto.FLOAT, shape: list[int | str] | None = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def stored(name: str, value: object, kind: type = np.float32) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(value, kind), name)


def body(factor: float, *more: onnx.NodeProto, limit: float = 1e9) -> onnx.GraphProto:
    """A round multiplies the state, adds its own number, hands on what never changes, collects the state, and may end the loop."""
    nodes = [
        helper.make_node("Mul", ["state", "factor"], ["scaled"], name="scale"),
        helper.make_node("Cast", ["round"], ["number"], to=TensorProto.FLOAT),
        *(more or [helper.make_node("Add", ["scaled", "number"], ["next"], name="count")]),
        helper.make_node("ReduceMax", ["next"], ["most"], keepdims=0),
        helper.make_node("Less", ["most", "limit"], ["on"]),
        helper.make_node("Reshape", ["round", "one"], ["row"]),
    ]
    ports = [port("round", TensorProto.INT64, []), port("go", TensorProto.BOOL, []), port("state"), port("kept")]
    made = [port("on", TensorProto.BOOL, []), port("next"), port("kept"), port("scaled"), port("row", TensorProto.INT64, [1])]
    return helper.make_graph(nodes, "body", ports, made, [stored("factor", factor), stored("limit", limit), stored("one", [1], np.int64)])


def save(path: Path, inside: onnx.GraphProto, rounds: int | None = 3, goes: bool | None = None, opset: int = 17) -> Artifact:
    given = ["" if rounds is None else "rounds", "" if goes is None else "goes", "x", "x"]
    nodes = [
        helper.make_node("Loop", given, ["y", "same", "all", "numbers"], name="loop", body=inside),
        helper.make_node("Neg", ["y"], ["z"], name="negate"),
    ]
    outputs = [port(name, shape=["n", 8]) for name in ("z", "same")]
    outputs += [port("all", shape=["rounds", "n", 8]), port("numbers", TensorProto.INT64, ["rounds", 1])]
    weights = [stored("rounds", rounds or 0, np.int64), stored("goes", bool(goes), np.bool_)]
    graph = helper.make_graph(nodes, "tiny", [port("x", shape=["n", 8])], outputs, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9), path)
    return Artifact(path, "onnx", path.name)


def answers(model: onnx.ModelProto) -> list[Array]:
    """ONNX Runtime's: onnx's reference evaluator puts what a loop collects end to end, without an axis for the rounds."""
    return [np.asarray(value) for value in ort.InferenceSession(model.SerializeToString()).run(None, {"x": X[:1]})]


@pytest.mark.parametrize(
    ("rounds", "goes", "limit", "opset"),
    [(3, None, 1e9, 17), (3, True, 1e9, 11), (1, True, 1e9, 17), (None, True, 50, 17), (9, True, 0, 17)],
)
def test_the_graph_that_runs_answers_as_the_model_did(
    tmp_path: Path, rounds: int | None, goes: bool | None, limit: float, opset: int
) -> None:
    path = save(tmp_path / "a.onnx", body(1.5, limit=limit), rounds, goes, opset).path
    made = ir.to_proto(unfold(load_model(path), path, EXAMPLES, 1).model)
    onnx.checker.check_model(made)
    assert f"scaled{FIRST}" in {name for node in made.graph.node for name in node.output}
    for ours, before in zip(answers(made), answers(onnx.load(path)), strict=True):
        np.testing.assert_allclose(ours, before, rtol=1e-6)


@pytest.mark.parametrize(("rounds", "goes"), [(0, None), (3, False)])
def test_a_loop_that_is_not_run_stays_as_it_is(tmp_path: Path, rounds: int, goes: bool | None) -> None:
    path = save(tmp_path / "a.onnx", body(1.5), rounds, goes).path
    found = unfold(load_model(path), path, EXAMPLES, 1)
    assert [node.op_type for node in found.model.graph] == ["Loop", "Neg"]


def test_the_layer_in_a_loop_is_named(tmp_path: Path) -> None:
    before, after = save(tmp_path / "a.onnx", body(2.0)), save(tmp_path / "b.onnx", body(2.2))
    (found,) = compare_layers(before, [after], EXAMPLES, names=["before", "after"])
    layers = {layer.tensor: layer for layer in found.layers}
    spoiled = layers[f"scaled{FIRST}"]
    assert spoiled.node == "scale"
    assert spoiled.own == pytest.approx(20.0, abs=0.01)
    assert layers[f"next{FIRST}"].own == 120
    assert spoiled.effect is not None
    assert spoiled.effect < 40
    assert {"y", "z"} <= set(layers)
    assert found.skipped["inside later rounds of loops, or branches that examples take by turns, which are not looked into"] > 0


def test_branches_in_a_loop_are_followed_in_its_first_round(tmp_path: Path) -> None:
    always = helper.make_node("Constant", [], ["always"], value=stored("", True, np.bool_))
    branches = [
        helper.make_graph([helper.make_node(kind, ["scaled"], ["made"], name=kind)], kind, [], [port("made")]) for kind in ("Neg", "Abs")
    ]
    choice = helper.make_node("If", ["always"], ["next"], name="choice", then_branch=branches[0], else_branch=branches[1])
    path = save(tmp_path / "a.onnx", body(1.5, always, choice)).path
    made = ir.to_proto(unfold(load_model(path), path, EXAMPLES, 1).model)
    onnx.checker.check_model(made)
    assert "If" not in {node.op_type for node in made.graph.node}
    for ours, before in zip(answers(made), answers(onnx.load(path)), strict=True):
        np.testing.assert_allclose(ours, before, rtol=1e-6)
