"""Transposes that lead out of a convolution's layout and back."""

from collections import Counter

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper, parser
from onnx.reference import ReferenceEvaluator

from optkit.formats.onnx_layouts import without_layout_changes
from optkit.formats.onnx_simplify import simplify

RNG = np.random.default_rng(0)
WEIGHTS = {
    "w": RNG.normal(size=(5, 3, 3, 3)).astype(np.float32),
    "v": RNG.normal(size=(4, 5, 1, 1)).astype(np.float32),
    "b": RNG.normal(size=(1, 1, 1, 5)).astype(np.float32),
    "r": RNG.normal(size=5).astype(np.float32),
    "low": np.float32(-0.5),
    "high": np.float32(0.5),
    "pads": np.array([0, 1, 2, 0, 0, 1, 0, 0], np.int64),
    "middle": np.array([1, 2], np.int64),
}
FEED = {"x": RNG.normal(size=(2, 3, 7, 6)).astype(np.float32)}
OUT, BACK = "Transpose<perm=[0,2,3,1]>", "Transpose<perm=[0,3,1,2]>"


def read(body: str, output: str = "float[N,C,H,W] y", opset: int = 17) -> ir.Model:
    proto = parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> g (float[N,3,7,6] x) => ({output}) {{ {body} }}')
    used = {name for node in proto.graph.node for name in node.input}
    proto.graph.initializer.extend(numpy_helper.from_array(np.asarray(a), name) for name, a in WEIGHTS.items() if name in used)
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto))


def run(model: ir.Model) -> list[np.ndarray]:
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    return list(ReferenceEvaluator(proto).run(None, FEED))


def transposes(model: ir.Model) -> int:
    return Counter(n.op_type for n in model.graph)["Transpose"]


@pytest.mark.parametrize(
    "steps",
    [
        "s = Add(t, b) u = Sub(s, r) m = Mul(low, u) k = Relu(m)",
        "k = Clip(t, low, high)",
        "k = Pad(t, pads)",
        "a = Sigmoid(t) k = Mul(t, a)",
        "a = Tanh(t) s = Add(a, t) k = Div(s, b)",
    ],
)
def test_what_works_element_by_element_stays_in_the_layout(steps: str) -> None:
    model = read(f"c = Conv(x, w) t = {OUT}(c) {steps} i = {BACK}(k) y = Conv(i, v)")
    before = run(model)
    made = without_layout_changes(model)
    assert transposes(model) == 2
    assert transposes(made) == 0
    np.testing.assert_allclose(run(made)[0], before[0], rtol=1e-4, atol=1e-5)
    assert [str(v.name) for v in made.graph.outputs] == ["y"]


@pytest.mark.parametrize(
    "branches",
    [
        f"d = Conv(x, w) u = {OUT}(d) a = Add(t, u) s = Relu(a) i = {BACK}(s) y = Conv(i, v)",
        f"n = Neg(t) j = Concat<axis=-1>(t, n) s = Relu(j) y = {BACK}(s)",
    ],
)
def test_two_branches_that_meet(branches: str) -> None:
    model = read(f"c = Conv(x, w) t = {OUT}(c) {branches}")
    before = run(model)
    made = without_layout_changes(model)
    assert transposes(made) == 0
    np.testing.assert_allclose(run(made)[0], before[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("keep", [0, 1])
def test_a_mean_over_height_and_width(opset: int, keep: int) -> None:
    mean = f"ReduceMean<axes=[1,2], keepdims={keep}>(s)" if opset < 18 else f"ReduceMean<keepdims={keep}>(s, middle)"
    output = "float[N,C] y" if not keep else "float[N,H,W,C] y"
    model = read(f"c = Conv(x, w) t = {OUT}(c) q = Relu(t) m = {BACK}(q) n = {OUT}(m) k = Neg(n) s = Add(q, k) y = {mean}", output, opset)
    before = run(model)
    made = without_layout_changes(model)
    assert transposes(made) == keep  # what comes out has channels last
    np.testing.assert_allclose(run(made)[0], before[0], rtol=1e-4, atol=1e-5)


def test_the_model_given_is_not_changed_and_an_output_in_between_keeps_its_layout() -> None:
    model = read(f"c = Conv(x, w) t = {OUT}(c) s = Add(t, b) i = {BACK}(s) y = Conv(i, v)", "float[N,C,H,W] y, float[N,P,Q,C] s")
    text, before = ir.to_proto(model).SerializeToString(), run(model)
    made = without_layout_changes(model)
    assert ir.to_proto(model).SerializeToString() == text
    assert transposes(made) == 1
    for one, other in zip(run(made), before, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "body",
    [
        f"c = Conv(x, w) t = {OUT}(c) y = Relu(t)",  # nothing to undo it
        f"n = Neg(x) t = {OUT}(n) s = Relu(t) y = {BACK}(s)",  # no convolution's layout
        f"c = Conv(x, w) t = {OUT}(c) s = Softmax(t) y = {BACK}(s)",  # works along an axis
        f"c = Conv(x, w) t = {OUT}(c) e = Shape(t) f = ConstantOfShape(e) g = Add(f, t) y = {BACK}(g)",  # another value
    ],
)
def test_others_stay(body: str) -> None:
    model = read(body)
    assert without_layout_changes(model) is model


def test_a_network_with_channels_last_comes_out_as_convolutions() -> None:
    model = read(f"c = Conv(x, w) t = {OUT}(c) s = Add(t, b) k = Relu(s) i = {BACK}(k) p = Conv(i, v) y = Relu(p)")
    before = run(model)
    simple = simplify(model)
    assert [n.op_type for n in simple.graph] == ["Conv", "Add", "Relu", "Conv", "Relu"]
    np.testing.assert_allclose(run(simple)[0], before[0], rtol=1e-4, atol=1e-5)
