"""Branches that run stand in the main graph, and the model answers as before."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from optkit.arrays import Array
from optkit.artifact import Artifact
from optkit.datasets import Examples
from optkit.formats.onnx import load_model
from optkit.layers import LayerComparison, compare_layers
from optkit.layers.unfold import unfold

DICE = np.random.default_rng(5)
X = DICE.normal(size=(6, 8)).astype(np.float32)
X[:, 0] = [1, 1, -1, 1, 1, -1]


def port(name: str, kind: int = TensorProto.FLOAT, shape: list[int | str] | None = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def stored(name: str, value: object, kind: type = np.float32) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(value, kind), name)


def branch(factor: float, *more: onnx.NodeProto) -> onnx.GraphProto:
    """`doubled` times a factor, both branches with the same names; then `more`, which makes `out` of `scaled`."""
    nodes = [helper.make_node("Mul", ["doubled", "factor"], ["scaled"], name="scale")]
    return helper.make_graph(
        [*nodes, *(more or [helper.make_node("Neg", ["scaled"], ["out"])])], "b", [], [port("out")], [stored("factor", factor)]
    )


def save(path: Path, then: onnx.GraphProto, other: onnx.GraphProto) -> Artifact:
    """Examples whose first number is above 0 take the branch `then`."""
    nodes = [
        helper.make_node("Add", ["x", "x"], ["doubled"], name="double"),
        helper.make_node("ReduceMax", ["first"], ["most"], keepdims=0),
        helper.make_node("Greater", ["most", "zero"], ["positive"]),
        helper.make_node("If", ["positive"], ["y"], name="choice", then_branch=then, else_branch=other),
    ]
    nodes.insert(0, helper.make_node("Slice", ["x", "start", "end", "axis"], ["first"]))
    weights = [stored("zero", 0), stored("start", [0], np.int64), stored("end", [1], np.int64), stored("axis", [1], np.int64)]
    graph = helper.make_graph(nodes, "tiny", [port("x", shape=["n", 8])], [port("y", shape=["n", 8])], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return Artifact(path, "onnx", path.name)


def examples(rows: slice = slice(None)) -> Examples:
    return Examples("data.npz", {"x": X[rows]})


def compared(before: Artifact, after: Artifact, data: Examples) -> LayerComparison:
    (found,) = compare_layers(before, [after], data, names=["before", "after"])
    return found


def answer(model: onnx.ModelProto, row: Array) -> Array:
    found: Any = ReferenceEvaluator(model).run(None, {"x": row[None]})
    return np.asarray(found[0])


def nested(factor: float) -> onnx.GraphProto:
    """A branch with a branch in it, whose constants and values have the same names again."""
    always = helper.make_node("Constant", [], ["always"], value=stored("", True, np.bool_))
    inner = helper.make_graph(
        [helper.make_node("Mul", ["scaled", "inner_factor"], ["inner_out"], name="inner")],
        "i",
        [],
        [port("inner_out")],
        [stored("inner_factor", 3)],
    )
    other = helper.make_graph([helper.make_node("Identity", ["scaled"], ["inner_out"])], "e", [], [port("inner_out")])
    return branch(factor, always, helper.make_node("If", ["always"], ["out"], name="again", then_branch=inner, else_branch=other))


@pytest.mark.parametrize("then", [branch(2), nested(2)], ids=["one deep", "two deep"])
def test_the_graph_that_runs_answers_as_the_model_did(tmp_path: Path, then: onnx.GraphProto) -> None:
    path = save(tmp_path / "a.onnx", then, branch(5)).path
    found = unfold(load_model(path), path, examples(), 1)
    made = ir.to_proto(found.model)
    onnx.checker.check_model(made)
    assert all(node.op_type != "If" for node in made.graph.node)
    assert len(found.examples) == 4, "those that choose as most do"
    for row in found.examples.arrays["x"]:
        np.testing.assert_allclose(answer(made, row), answer(onnx.load(path), row), rtol=1e-6)


def test_a_branch_may_give_a_constant(tmp_path: Path) -> None:
    constant = helper.make_graph([], "b", [], [port("given")], [stored("given", np.ones((1, 8)))])
    path = save(tmp_path / "a.onnx", constant, branch(5)).path
    made = ir.to_proto(unfold(load_model(path), path, examples(), 1).model)
    onnx.checker.check_model(made)
    np.testing.assert_array_equal(answer(made, X[0]), np.ones((1, 8)))


def test_the_layer_in_a_branch_is_named(tmp_path: Path) -> None:
    before, after = save(tmp_path / "a.onnx", nested(2), branch(5)), save(tmp_path / "b.onnx", nested(2.2), branch(5))
    found = compared(before, after, examples(slice(0, 2)))
    (spoiled,) = (layer for layer in found.layers if layer.own < 120)
    assert spoiled.node == "scale"
    assert spoiled.own == pytest.approx(20.0, abs=0.01)
    assert spoiled.effect == pytest.approx(20.0, abs=0.01)
    assert found.worst == ((spoiled, 1.0),)
    assert {"doubled", "scaled", "y"} <= {layer.tensor for layer in found.layers}
    assert found.skipped == {"inside branches that these examples do not take": 3}


def test_a_branch_that_is_not_taken_does_not_count(tmp_path: Path) -> None:
    before, after = save(tmp_path / "a.onnx", branch(2), branch(5)), save(tmp_path / "b.onnx", branch(2), branch(50))
    assert all(layer.sqnr == 120 for layer in compared(before, after, examples(slice(0, 2))).layers)
    assert any(layer.own < 0 for layer in compared(before, after, examples(slice(2, 3))).layers)


def test_examples_that_choose_as_most_do_are_followed(tmp_path: Path) -> None:
    before, after = save(tmp_path / "a.onnx", branch(2), branch(5)), save(tmp_path / "b.onnx", branch(2.2), branch(50))
    assert compared(before, after, examples()).layers == compared(before, after, Examples("data.npz", {"x": X[X[:, 0] > 0]})).layers


def test_models_of_one_batch_size_whose_batches_choose_differently_are_left(tmp_path: Path) -> None:
    path = save(tmp_path / "a.onnx", branch(2), branch(5)).path
    proto = onnx.load(path)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    onnx.save(proto, path)
    data = Examples("data.npz", {"x": X[[0, 1, 2, 5]]})
    found = unfold(load_model(path), path, data, 1)
    assert [node.name for node in found.model.graph if node.op_type == "If"] == ["choice"]
    assert (len(found.examples), found.beside) == (4, 0)
