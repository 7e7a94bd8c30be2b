"""Weights put together by the graph: folded where the file does not grow, left where it would."""

import numpy as np
import onnx
import onnx_ir as ir
from onnx import numpy_helper, parser

from optkit.formats.onnx_simplify import simplify
from optkit.formats.onnx_weight_chains import fold_weight_chains
from optkit.runtimes.onnxruntime import open_onnx

WEIGHT = np.random.default_rng(0).normal(size=(64, 32)).astype(np.float32)
GATES = """(float[N,32] x) => (float[N,64] y) <int64[1] o = {0}, int64[1] m = {16}, int64[1] l = {64}> {
    a = Slice(w, o, m) c = Slice(w, m, l) j = Concat<axis=0>(c, a) t = Transpose(j) %s y = MatMul(x, t) }"""


def model_of(graph: str, opset: int = 17) -> ir.Model:
    proto = parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> g {graph}')
    proto.graph.initializer.append(numpy_helper.from_array(WEIGHT, "w"))
    return ir.from_proto(proto)


def answer(model: ir.Model) -> np.ndarray:
    x = np.random.default_rng(1).normal(size=(3, 32)).astype(np.float32)
    return np.asarray(open_onnx(ir.to_proto(model).SerializeToString()).run({"x": x})["y"])


def test_a_chain_becomes_its_result() -> None:
    model = model_of(GATES % "")
    made = simplify(model)
    assert [n.op_type for n in made.graph] == ["MatMul"]
    assert len(made.graph.initializers) == 1
    np.testing.assert_allclose(answer(made), answer(model), rtol=1e-6)
    onnx.checker.check_model(ir.to_proto(made), full_check=True)


def test_constants_with_other_readers_stay_apart() -> None:
    """Folding would store the weight twice."""
    model = model_of((GATES % "").replace("=> (float[N,64] y)", "=> (float[N,64] y, float[64,32] z)").replace("y = M", "z = Neg(w) y = M"))
    before = [n.op_type for n in model.graph]
    fold_weight_chains(model)
    assert [n.op_type for n in model.graph] == before


def test_a_step_with_another_reader_is_not_folded_away() -> None:
    model = model_of((GATES % "z = Neg(c)").replace("=> (float[N,64] y)", "=> (float[N,64] y, float[48,32] z)"))
    expected = answer(model)
    fold_weight_chains(model)
    np.testing.assert_allclose(answer(model), expected, rtol=1e-6)


def test_in_branches() -> None:
    graph = """(float[N,32] x) => (float[N,64] y) <bool c = {1}> {
        y = If (c) <then_branch = one () => (float[N,64] p) { t = Transpose(w) p = MatMul(x, t) },
                    else_branch = two () => (float[N,64] q) { u = Transpose(w) v = MatMul(x, u) q = Neg(v) }> }"""
    model = model_of(graph)
    expected = answer(model)
    fold_weight_chains(model)
    np.testing.assert_allclose(answer(model), expected, rtol=1e-6)
