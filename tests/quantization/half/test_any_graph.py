"""Whatever is built out of ordinary operators keeps its answers in float16."""

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper, parser
from onnx.reference import ReferenceEvaluator

from optkit.formats.onnx_simplify import simplify
from optkit.quantization.half.cast import cast_half
from optkit.quantization.half.nearness import Answers, nearness
from optkit.quantization.half.plan import plan_half

SIZE = 40
STEPS = [
    "{out} = MatMul({a}, w)",
    "{out} = Gemm({a}, w, s)",
    "{out} = Add({a}, {b})",
    "{out} = Mul({a}, {b})",
    "{out} = Sub({a}, s)",
    "{out} = Relu({a})",
    "{out} = Tanh({a})",
    "{out} = Sigmoid({a})",
    "{out} = Softmax({a})",
    "{out} = Clip({a}, low, high)",
    "{out} = LayerNormalization({a}, s, s)",
    "{out}_t = Tanh({a}) {out} = Exp({out}_t)",
    "{out}_q = Mul({a}, {a}) {out}_r = ReduceSum({out}_q, last) {out}_e = Add({out}_r, tiny) {out}_d = Sqrt({out}_e)"
    " {out} = Div({a}, {out}_d)",
    "{out}_c = Concat<axis = 1>({a}, {b}) {out} = MatMul({out}_c, tall)",
    "{out}_t = Transpose({a}) {out}_u = Relu({out}_t) {out} = Transpose({out}_u)",
    "{out}_k = Shape({a}) {out}_l = Cast<to = 1>({out}_k) {out}_m = ReduceMax({out}_l) {out} = Div({a}, {out}_m)",
    "{out} = Where(flag, {a}, {b})",
    "{out} = If (flag) < then_branch = t{out} () => (float[3,40] p{out}) {{ z{out} = MatMul({a}, w) p{out} = Relu(z{out}) }},"
    " else_branch = e{out} () => (float[3,40] q{out}) {{ q{out} = Add({a}, {b}) }} >",
]
RNG = np.random.default_rng(0)
CONSTANTS: dict[str, np.ndarray[Any, np.dtype[Any]]] = {
    "w": (RNG.normal(size=(SIZE, SIZE)) / 6).astype("f"),
    "tall": (RNG.normal(size=(2 * SIZE, SIZE)) / 9).astype("f"),
    "s": RNG.uniform(0.5, 1.5, SIZE).astype("f"),
    "low": np.array(-1.5, "f"),
    "high": np.array(3e38, "f"),
    "tiny": np.array(1e-9, "f"),
    "last": np.array([-1]),
}


@st.composite
def graphs(draw: st.DrawFn) -> onnx.ModelProto:
    values, lines = ["x"], []
    for number in range(draw(st.integers(1, 8))):
        out = f"v{number}"
        pick = st.sampled_from(values)
        lines.append(draw(st.sampled_from(STEPS)).format(out=out, a=draw(pick), b=draw(pick)))
        values.append(out)
    outputs = [
        values[-1],
        *draw(st.lists(st.sampled_from(values[1:]), max_size=2, unique=True).filter(lambda more: values[-1] not in more)),
    ]
    ports = ", ".join(f"float[3,{SIZE}] {name}" for name in outputs)
    opset = draw(st.sampled_from([17, 21]))
    proto = parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : {opset}]> g (bool flag, float[3,{SIZE}] x) => ({ports}) {{ {" ".join(lines)} }}'
    )
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in CONSTANTS.items())
    return proto


@pytest.mark.slow
@settings(max_examples=40, deadline=None, derandomize=True)
@given(graphs(), st.booleans(), st.booleans())
def test_answers_stay_near(proto: onnx.ModelProto, flag: bool, careful: bool) -> None:
    feed = {"flag": np.array(flag), "x": RNG.normal(size=(3, SIZE)).astype("f")}
    names = [port.name for port in proto.graph.output]
    truth = dict(zip(names, map(np.asarray, ReferenceEvaluator(proto).run(None, feed)), strict=True))
    model = simplify(ir.from_proto(proto))
    cast_half(model, plan_half(model, careful=careful))
    result = ir.to_proto(model)
    onnx.checker.check_model(result, full_check=True)
    assert [(port.name, port.type.tensor_type.elem_type) for port in result.graph.output] == [(name, TensorProto.FLOAT) for name in names]
    assert all(np.isfinite(got).all() for got in ort.InferenceSession(result.SerializeToString()).run(None, feed))
    near = nearness(model, Answers([feed], [truth], "1 example"))
    assert min(near.sqnr.values()) > 35, near.sqnr
