"""Whatever is built out of ordinary operators says the same after it was simplified, at every batch size."""

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper, parser
from onnx.reference import ReferenceEvaluator

from optkit.formats.onnx_simplify import simplify

STEPS = [
    "{out} = Identity({a})",
    "{out} = Add({a}, {b})",
    "{out}_k = Mul(s, s) {out} = Sub({a}, {out}_k)",
    "{out}_w = Transpose(w) {out} = MatMul({a}, {out}_w)",
    "{out}_t = Transpose<perm = [1, 0]>({a}) {out} = Transpose<perm = [1, 0]>({out}_t)",
    "{out}_n = Shape({a}) {out}_i = Constant<value = int64 {{1}}>() {out}_g = Gather({out}_n, {out}_i) {out}_f = Cast<to = 1>({out}_g)"
    " {out} = Div({a}, {out}_f)",
    "{out}_n = Shape({a}) {out} = Expand(one, {out}_n)",
    "{out}_n = Shape({a}) {out}_r = Reshape({a}, flat) {out}_u = Relu({out}_r) {out} = Reshape({out}_u, {out}_n)",
    "{out}_e = Constant<value = float {{1e-9}}>() {out}_x = Add({a}, {out}_e) {out} = Abs({out}_x)",
    "{out}_c = Cast<to = 1>({a}) {out} = Neg({out}_c)",
    "{out}_y = Constant<value = bool {{1}}>() {out} = If ({out}_y) <"
    " then_branch = t{out} () => (float[N,4] p{out}) {{ c{out} = Constant<value = float {{2.0}}>() p{out} = Mul({a}, c{out}) }},"
    " else_branch = e{out} () => (float[N,4] q{out}) {{ q{out} = Identity({b}) }} >",
    "{out} = If (flag) < then_branch = t{out} () => (float[N,4] p{out}) {{ p{out} = Identity({a}) }},"
    " else_branch = e{out} () => (float[N,4] q{out}) {{ k{out} = Identity(s) q{out} = Add({b}, k{out}) }} >",
]
CONSTANTS: dict[str, np.ndarray[Any, np.dtype[Any]]] = {
    "w": np.arange(16, dtype="f").reshape(4, 4) / 9,
    "s": np.array([1, -2, 3, 0.5], "f"),
    "one": np.ones((1, 4), "f"),
    "flat": np.array([-1]),
}


@st.composite
def graphs(draw: st.DrawFn) -> onnx.ModelProto:
    values, lines = ["x"], []
    for number in range(draw(st.integers(1, 8))):
        pick = st.sampled_from(values)
        lines.append(draw(st.sampled_from(STEPS)).format(out=f"v{number}", a=draw(pick), b=draw(pick)))
        values.append(f"v{number}")
    outputs = draw(st.lists(st.sampled_from(values[1:]), min_size=1, max_size=3, unique=True))
    ports = ", ".join(f"float[N,4] {name}" for name in outputs)
    proto = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 15]> g (bool flag, float[N,4] x) => ({ports}) {{ {" ".join(lines)} }}')
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in CONSTANTS.items())
    return proto


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=True)
@given(graphs(), st.booleans(), st.integers(1, 5))
def test_it_says_the_same(proto: onnx.ModelProto, flag: bool, rows: int) -> None:
    result = ir.to_proto(simplify(ir.from_proto(proto)))
    onnx.checker.check_model(result, full_check=True)
    assert [port.name for port in result.graph.output] == [port.name for port in proto.graph.output]
    assert len(result.graph.node) <= len(proto.graph.node)
    feed = {"flag": np.array(flag), "x": np.random.default_rng(rows).normal(size=(rows, 4)).astype("f")}
    for expected, got in zip(ReferenceEvaluator(proto).run(None, feed), ReferenceEvaluator(result).run(None, feed), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
