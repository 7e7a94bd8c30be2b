"""A half-precision model that computes in float32 answers as the float32 model whose weights it has, under the same names and types."""

from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper, parser, shape_inference

from optkit.arrays import Array
from optkit.quantization.graphs import all_graphs
from optkit.quantization.half.widen import widen
from optkit.quantization.recognise import HALVES

from ..tiny import operators

RNG = np.random.default_rng(0)
SIZE = 40
W = (RNG.normal(size=(SIZE, SIZE)) / 6).astype(np.float16)
X = RNG.normal(size=(3, SIZE)).astype(np.float16)
HALF, FLOAT = TensorProto.FLOAT16, TensorProto.FLOAT


def read(graph: str, imports: str = "", functions: str = "", **weights: Any) -> ir.Model:
    """A model whose weights have the types that they are given in."""
    proto = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18{imports}]> g {graph} {functions}')
    proto.graph.initializer.extend(numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items())
    return ir.from_proto(proto)


def answers(model: ir.Model, feed: dict[str, Array]) -> list[Array]:
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    return list(ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, feed))


def declared(model: ir.Model) -> set[ir.DataType | None]:
    """Types of what nodes write, apart from the model's outputs, as ONNX infers them."""
    model = ir.from_proto(shape_inference.infer_shapes(ir.to_proto(model), strict_mode=True))
    return {v.dtype for graph in all_graphs(model) for node in graph for v in node.outputs if v not in model.graph.outputs}


def ports(model: ir.Model) -> list[tuple[str | None, ir.DataType | None]]:
    return [(v.name, v.dtype) for v in (*model.graph.inputs, *model.graph.outputs)]


def assert_wide(model: ir.Model, feed: dict[str, Array], tolerance: float = 2e-3) -> ir.Model:
    """Answers are those of float16 but for its rounding, nothing inside is float16, names and types of the ports are what they were."""
    before = ir.to_proto(model).SerializeToString()
    wide = widen(model)
    assert ir.to_proto(model).SerializeToString() == before
    assert wide is not model
    assert ports(wide) == ports(model)
    assert not declared(wide) & HALVES
    for expected, got in zip(answers(model, feed), answers(wide, feed), strict=True):
        assert got.dtype == expected.dtype
        np.testing.assert_allclose(got.astype(np.float32), expected.astype(np.float32), atol=tolerance, rtol=tolerance)
    return wide


def test_casts_stand_at_the_ports_alone() -> None:
    wide = assert_wide(read("(float16[3,40] x) => (float16[3,40] y) { a = MatMul(x, w) y = Relu(a) }", w=W), {"x": X})
    assert operators(wide) == {"Cast": 2, "MatMul": 1, "Relu": 1}


def test_a_model_with_float_ports_has_no_cast_left() -> None:
    model = read(
        "(float[3,40] x) => (float[3,40] y) { h = Cast<to = 10>(x) a = MatMul(h, w) b = Relu(a) y = Cast<to = 1>(b) }",
        w=W,
    )
    assert operators(assert_wide(model, {"x": X.astype(np.float32)})) == {"MatMul": 1, "Relu": 1}


def test_casts_that_convert_stay() -> None:
    model = read("(int64[3,40] x) => (int32[3,40] y) { h = Cast<to = 10>(x) a = MatMul(h, w) y = Cast<to = 6>(a) }", w=np.round(W * 9))
    wide = assert_wide(model, {"x": RNG.integers(0, 4, (3, SIZE))})
    assert operators(wide) == {"MatMul": 1, "Cast": 2}


def test_an_output_that_others_read_too() -> None:
    model = read("(float16[3,40] x) => (float16[3,40] y, float16[3,40] z) { y = MatMul(x, w) z = Tanh(y) }", w=W)
    assert operators(assert_wide(model, {"x": X})) == {"MatMul": 1, "Tanh": 1, "Cast": 3}


def test_a_cast_of_one_output_that_is_another() -> None:
    model = read("(float16[3,40] x) => (float16[3,40] y, float[3,40] z) { y = MatMul(x, w) z = Cast<to = 1>(y) }", w=W)
    assert_wide(model, {"x": X})


def test_a_constant_that_is_an_output_keeps_its_type() -> None:
    model = read("(float16[3,40] x) => (float16[3,40] y, float16[40,40] w) { y = MatMul(x, w) }", w=W)
    wide = widen(model)
    assert ports(wide) == ports(model)
    for expected, got in zip(answers(model, {"x": X}), answers(wide, {"x": X}), strict=True):
        np.testing.assert_allclose(got, expected, atol=2e-3)


def test_attributes_that_hold_types_and_tensors() -> None:
    model = read(
        """(float16[3,40] x) => (float16[3,40] y) {
        k = Constant<value = float16 {1}>() s = Shape(x) c = ConstantOfShape<value = float16[1] {2}>(s) e = EyeLike<dtype = 10>(w)
        r = RandomUniformLike<dtype = 10, low = 1.0, high = 1.0>(x) l = CastLike(s, x) t = Cast<to = 10>(l) m = ReduceMax<keepdims = 0>(t)
        a = MatMul(x, w) b = MatMul(a, e) d = Mul(b, k) f = Add(d, c) g = Mul(f, r) y = Div(g, m) }""",
        w=W,
    )
    assert_wide(model, {"x": X})


BODIES = """(bool flag, float16[3,40] x) => (float16[3,40] y, float16[3,40] last) {
    p = Relu(x)
    q = If (flag) <then_branch = t () => (float16[3,40] u) { u = MatMul(p, w) },
                   else_branch = e () => (float16[3,40] v) <float16 two = {2}> { v = Mul(p, two) }>
    n = Constant<value = int64 {3}>() go = Constant<value = bool {1}>()
    last, all = Loop(n, go, q) <body = b (int64 i, bool c, float16[3,40] s) => (bool d, float16[3,40] o, float16[3,40] s2) {
        d = Identity(c) h = Cast<to = 10>(i) a = MatMul(s, w) z = Add(a, h) o = Tanh(z) s2 = Identity(o) }>
    y = ReduceSum<keepdims = 0>(all, zero) }"""


@pytest.mark.parametrize("flag", [True, False])
def test_branches_and_loop_bodies(flag: bool) -> None:
    model = read(BODIES, w=W, zero=np.array([0]))
    assert_wide(model, {"flag": np.array(flag), "x": X}, 6e-3)


def test_functions_are_written_out() -> None:
    model = read(
        "(float16[3,40] x) => (float16[3,40] y) { y = own.twice(x, w) }",
        ', "own" : 1',
        '<domain: "own", opset_import: ["" : 18]> twice (a, b) => (c) '
        "{ k = Constant<value = float16 {2}>() h = Cast<to = 10>(k) d = MatMul(a, b) c = Mul(d, h) }",
        w=W,
    )
    wide = assert_wide(model, {"x": X})
    assert not wide.functions
    assert operators(wide)["Mul"] == 1


def test_operators_of_the_runtimes_own() -> None:
    model = read(
        "(float16[3,40] x) => (float16[3,40] y) { a = com.microsoft.FusedMatMul<alpha = 0.5>(x, w) y = com.microsoft.BiasGelu(a, b) }",
        ', "com.microsoft" : 1',
        w=W,
        b=W[0],
    )
    assert_wide(model, {"x": X}, 4e-3)


def test_operators_that_nobody_knows_are_fed_what_they_were() -> None:
    model = read(
        "(float16[3,40] x) => (float16[3,40] y) <float16[3,40] b> { a = MatMul(x, w) b = strange.Filter<dtype = 10>(a, k) y = Relu(b) }",
        ', "strange" : 1',
        w=W,
        k=W[:1],
    )
    wide = widen(model)
    node = next(n for n in wide.graph if n.op_type == "Filter")
    assert [v.dtype for v in (*node.inputs, *node.outputs) if v is not None] == [ir.DataType.FLOAT16] * 3
    assert node.attributes["dtype"].as_int() == HALF
    relu = next(n for n in wide.graph if n.op_type == "Relu")
    assert [v.dtype for v in (*relu.inputs, *relu.outputs) if v is not None] == [ir.DataType.FLOAT] * 2


def test_bfloat16_as_well() -> None:
    held = W.astype(ml_dtypes.bfloat16)
    model = read("(float[3,40] x) => (float[3,40] y) { f = Cast<to = 1>(w) y = MatMul(x, f) }")
    model.graph.register_initializer(ir.Value(name="w", const_value=ir.tensor(held), type=ir.TensorType(ir.DataType.BFLOAT16)))
    fixed = next(n for n in model.graph if n.op_type == "Cast")
    fixed.replace_input_with(0, model.graph.initializers["w"])
    wide = widen(model)
    assert operators(wide) == {"MatMul": 1}
    x = X.astype(np.float32)
    np.testing.assert_allclose(answers(wide, {"x": x})[0], x @ held.astype(np.float32), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("weight", [W.astype(np.float32), W[:20, :20]])
def test_what_has_no_weights_in_half_precision_is_left_alone(weight: Array) -> None:
    kind = "float" if weight.dtype == np.float32 else "float16"
    model = read(f"({kind}[3,{len(weight)}] x) => ({kind}[3,{len(weight)}] y) {{ y = MatMul(x, w) }}", w=weight)
    assert widen(model) is model


def test_sequences_at_the_ports_are_left_alone() -> None:
    model = read(
        "(seq(float16[3,40]) s) => (float16[3,40] y) { i = Constant<value = int64 {0}>() x = SequenceAt(s, i) y = MatMul(x, w) }", w=W
    )
    assert widen(model) is model


def test_sequences_inside_become_float() -> None:
    model = read(
        """(float16[3,40] x) => (float16[6,40] y) { a = MatMul(x, w) e = SequenceEmpty<dtype = 10>() s = SequenceInsert(e, x)
        t = SequenceInsert(s, a) y = ConcatFromSequence<axis = 0>(t) }""",
        w=W,
    )
    assert_wide(model, {"x": X})


STEPS = [
    "{out} = MatMul({a}, w)",
    "{out} = Gemm({a}, w, s)",
    "{out} = Add({a}, {b})",
    "{out} = Sub({a}, s)",
    "{out} = Tanh({a})",
    "{out} = Softmax({a})",
    "{out} = LayerNormalization({a}, s, s)",
    "{out}_k = Shape({a}) {out}_l = Cast<to = T>({out}_k) {out}_m = ReduceMax({out}_l) {out} = Div({a}, {out}_m)",
    "{out}_t = Cast<to = 1>({a}) {out}_u = Sigmoid({out}_t) {out} = Cast<to = T>({out}_u)",
    "{out} = Where(flag, {a}, {b})",
    "{out} = If (flag) < then_branch = t{out} () => (TYPE[3,40] p{out}) {{ z{out} = MatMul({a}, w) p{out} = Tanh(z{out}) }},"
    " else_branch = e{out} () => (TYPE[3,40] q{out}) {{ q{out} = Add({a}, {b}) }} >",
]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[str, list[str]]:
    values, lines = ["x"], ["y0 = MatMul(x, w)"]
    for number in range(draw(st.integers(1, 7))):
        out, pick = f"v{number}", st.sampled_from(values)
        lines.append(draw(st.sampled_from(STEPS)).format(out=out, a=draw(pick), b=draw(pick)))
        values.append(out)
    return " ".join(lines), ["y0", *draw(st.lists(st.sampled_from(values[1:]), min_size=1, max_size=3, unique=True))]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(graphs(), st.booleans())
def test_it_is_the_float32_model_with_its_answers_rounded(made: tuple[str, list[str]], flag: bool) -> None:
    lines, outputs = made
    s = RNG.uniform(0.5, 1.5, SIZE).astype(np.float16)

    def of(kind: str, number: int, dtype: Any) -> ir.Model:
        text = lines.replace("TYPE", kind).replace("= T>", f"= {number}>")
        given = ", ".join(f"{kind}[3,{SIZE}] {name}" for name in outputs)
        return read(f"(bool flag, {kind}[3,{SIZE}] x) => ({given}) {{ {text} }}", w=W.astype(dtype), s=s.astype(dtype))

    wide = widen(of("float16", HALF, np.float16))
    feed = {"flag": np.array(flag), "x": X}
    truth = answers(of("float", FLOAT, np.float32), {**feed, "x": X.astype(np.float32)})
    for expected, got in zip(truth, answers(wide, feed), strict=True):
        assert got.dtype == np.float16
        np.testing.assert_allclose(got.astype(np.float32), expected, rtol=1.1 * 2**-11, atol=2e-6)
