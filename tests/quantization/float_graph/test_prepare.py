"""The graph that quantization starts from gives the original's answers."""

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from optkit.errors import ModelError
from optkit.quantization.float_graph.prepare import prepare
from optkit.quantization.graphs import all_graphs, constant_array

from ..tiny import answers, draw, operators, proto_of, read, saved

OLD = """(float[N,8,6,6] x) => (float[N,8,6,6] y) {
    c = Conv(x, w) n = BatchNormalization(c, s, s, s, s) r = Clip(n, zero, six) i = Identity(r) y = Relu(i) }"""


@pytest.mark.parametrize("opset", [11, 13, 17, 21])
def test_every_opset_is_brought_to_13_or_left(opset: int) -> None:
    model = read(OLD, opset, w=draw(8, 8, 1, 1), s=np.abs(draw(8)) + 0.5, zero=0.0, six=6.0)
    before = saved(model)
    ready = prepare(model)
    assert saved(model) == before
    assert ready.model.opset_imports[""] == max(opset, 13)
    assert ready.remarks == (("converted from opset 11 to 13",) if opset == 11 else ())
    assert "BatchNormalization" not in operators(ready.model)
    feed = {"x": draw(2, 8, 6, 6, seed=3)}
    np.testing.assert_allclose(answers(ready.model, feed)["y"], answers(model, feed)["y"], rtol=1e-4, atol=1e-5)


def test_an_opset_that_cannot_be_raised_is_said() -> None:
    model = read("(float[N,3] x) => (float[N,3] y) { y = Relu(x) }")
    model.opset_imports[""] = 5
    with pytest.raises(ModelError, match="opset 5, which cannot be converted"):
        prepare(model)


def test_every_node_has_a_name_of_its_own() -> None:
    proto = proto_of(
        """(bool k, float[4] x) => (float[4] y) {
            a = Neg(x) b = Abs(a)
            y = If (k) < then_branch = t () => (float[4] p) { p = Neg(b) }, else_branch = e () => (float[4] q) { q = Sin(b) } > }"""
    )
    graphs = [proto.graph, *(a.g for n in proto.graph.node for a in n.attribute)]
    for graph, name in zip(graphs, ["same", "", "same"], strict=True):
        for node in graph.node:
            node.name = name
    proto.graph.node[1].name = "Neg_0"
    ready = prepare(ir.from_proto(proto), rewrite=False).model
    names = [n.name for g in all_graphs(ready) for n in g]
    assert all(names)
    assert len(set(names)) == len(names)
    onnx.checker.check_model(ir.to_proto(ready), full_check=True)


def test_without_rewriting_constants_are_still_weights() -> None:
    proto = proto_of("(float[N,2] x) => (float[N,2] y) { w = Constant<value = float[2,2] {1, 2, 3, 4}>() y = MatMul(x, w) }")
    ready = prepare(ir.from_proto(proto), rewrite=False).model
    assert dict(operators(ready)) == {"MatMul": 1}
    held: Any = constant_array(ready.graph[0].inputs[1])
    np.testing.assert_array_equal(held, [[1, 2], [3, 4]])
