"""Float16 models against the float32 ones they were made from, on the constructions that converters get wrong."""

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, numpy_helper, parser

from optkit.arrays import Array
from optkit.formats.onnx_simplify import simplify
from optkit.quantization.half.cast import cast_half
from optkit.quantization.half.nearness import rounding_session
from optkit.quantization.half.out_of_range import out_of_range
from optkit.quantization.half.plan import plan_half

RNG = np.random.default_rng(0)
WEIGHT = (RNG.normal(size=(40, 40)) / 6).astype(np.float32)
X = RNG.normal(size=(3, 40)).astype(np.float32)


def read(graph: str, opset: int = 17, imports: str = "", **weights: Any) -> onnx.ModelProto:
    proto = parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}{imports}]> g {graph}')
    proto.graph.initializer.extend(numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items())
    return proto


def number(value: float) -> Array:
    return np.array(value, np.float32)


def halved(proto: onnx.ModelProto, feed: dict[str, Array] | None = None, ports_too: bool = False) -> onnx.ModelProto:
    model = simplify(ir.from_proto(proto))
    wide = out_of_range(model, [feed]) if feed else frozenset()
    cast_half(model, plan_half(model, wide), ports_too)
    result = ir.to_proto(model)
    onnx.checker.check_model(result, full_check=True)
    return result


def answers(proto: onnx.ModelProto, feed: dict[str, Array]) -> list[Array]:
    return list(ort.InferenceSession(proto.SerializeToString()).run(None, feed))


def rounded_answers(proto: onnx.ModelProto, feed: dict[str, Array]) -> list[Array]:
    """As a GPU computes; on a CPU, ONNX Runtime hands float16 on in float32, and an overflow goes unseen."""
    return list(rounding_session(ir.from_proto(proto)).run(feed).values())


def assert_alike(proto: onnx.ModelProto, feed: dict[str, Array], tolerance: float = 0.01, ranges: bool = False) -> onnx.ModelProto:
    result = halved(proto, feed if ranges else None)
    for found in (answers(result, feed), rounded_answers(result, feed)):
        for expected, got in zip(answers(proto, feed), found, strict=True):
            assert expected.dtype == got.dtype
            np.testing.assert_allclose(got, expected, atol=tolerance * max(1e-3, float(np.abs(expected).max(initial=0))))
    return result


def types(proto: onnx.ModelProto) -> dict[str, int]:
    """Data types of all stored tensors, those of branches and bodies too."""
    found = {}

    def walk(graph: onnx.GraphProto) -> None:
        found.update({tensor.name: tensor.data_type for tensor in graph.initializer})
        for node in graph.node:
            for attribute in node.attribute:
                walk(attribute.g)

    walk(proto.graph)
    return found


def float32_bytes(proto: onnx.ModelProto) -> int:
    def walk(graph: onnx.GraphProto) -> int:
        own = sum(numpy_helper.to_array(t).nbytes for t in graph.initializer if t.data_type == TensorProto.FLOAT)
        return own + sum(walk(attribute.g) for node in graph.node for attribute in node.attribute)

    return walk(proto.graph)


def ops(proto: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in proto.graph.node]


def test_weights_are_float16_and_ports_float32() -> None:
    proto = read("(float[N,40] x) => (float[N,40] y) { m = MatMul(x, w) b = Add(m, s) y = Relu(b) }", w=WEIGHT, s=WEIGHT[0])
    result = assert_alike(proto, {"x": X})
    assert set(types(result).values()) == {TensorProto.FLOAT16}
    assert ops(result) == ["Cast", "MatMul", "Add", "Relu", "Cast"]
    assert [p.name for p in (*result.graph.input, *result.graph.output)] == ["x", "y"]


def test_ports_become_float16_on_request() -> None:
    proto = read("(float[N,40] x, int64[2] i) => (float[N,40] y, int64[2] j) { y = MatMul(x, w) j = Neg(i) }", w=WEIGHT)
    result = halved(proto, ports_too=True)
    kinds = [port.type.tensor_type.elem_type for port in (*result.graph.input, *result.graph.output)]
    assert kinds == [TensorProto.FLOAT16, TensorProto.INT64, TensorProto.FLOAT16, TensorProto.INT64]
    assert "Cast" not in ops(result)
    got = answers(result, {"x": X.astype(np.float16), "i": np.array([1, 2])})[0]
    np.testing.assert_allclose(got, X @ WEIGHT, atol=0.02)


def test_branches_use_weights_and_values_of_the_graph_around_them() -> None:
    proto = read(
        """(bool b, float[N,40] x) => (float[N,40] y) {
            h = MatMul(x, w)
            y = If (b) < then_branch = t () => (float[N,40] p) { m = MatMul(h, w) p = Relu(m) },
                         else_branch = e () => (float[N,40] q) { k = Constant<value = float {3.0}>() n = Mul(x, k) q = MatMul(n, v) } >
        }""",
        w=WEIGHT,
        v=WEIGHT * 2,
    )
    for b in (True, False):
        result = assert_alike(proto, {"b": np.array(b), "x": X})
    assert float32_bytes(result) <= 4


def test_a_loop_carries_float32_and_computes_in_float16() -> None:
    proto = read(
        """(int64 n, float[3,40] x) => (float[3,40] y) {
            more = Constant<value = bool {1}>()
            y = Loop (n, more, x) < body = b (int64 i, bool c, float[3,40] s) => (bool d, float[3,40] r) {
                d = Identity(c) m = MatMul(s, w) r = Tanh(m) } >
        }""",
        w=WEIGHT,
    )
    result = assert_alike(proto, {"n": np.array(3), "x": X})
    assert float32_bytes(result) == 0


def test_integers_stay_exact_on_their_way_through_floats() -> None:
    """2049 is no float16; a size or an index computed in it would be another."""
    proto = read(
        """(int64 n, float[N,40] x) => (int64[k] r, float[N,40] y) {
            f = Cast<to = 1>(n) g = Mul(f, half) i = Cast<to = 7>(g) r = Range(zero, i, one)
            y = MatMul(x, w) }""",
        w=WEIGHT,
        half=number(0.5),
        zero=np.array(0),
        one=np.array(1),
    )
    got = answers(halved(proto), {"n": np.array(2 * 2049), "x": X})[0]
    np.testing.assert_array_equal(got, np.arange(2049))


def test_positions_are_multiplied_in_float32() -> None:
    """Rotary embeddings: an angle of 2,000 in float16 is off by more than a quarter of a turn."""
    frequencies = (1 / 10000 ** (np.arange(20) / 20)).astype(np.float32)
    proto = read(
        """(int64[S,1] p, float[S,40] x) => (float[S,40] y) {
            f = Cast<to = 1>(p) angle = Mul(f, freq) c = Cos(angle) s = Sin(angle) both = Concat<axis = 1>(c, s)
            m = MatMul(x, w) y = Mul(m, both) }""",
        w=WEIGHT,
        freq=frequencies[None],
    )
    assert_alike(proto, {"p": np.array([[7], [1999], [4001]]), "x": X}, tolerance=0.005)


def test_values_that_overflow_on_the_examples_stay_float32() -> None:
    proto = read(
        "(float[N,40] x) => (float[N,40] y) { m = MatMul(x, w) s = Mul(m, m) t = Mul(s, small) y = MatMul(t, w) }",
        w=WEIGHT,
        small=number(1e-7),
    )
    feed = {"x": X * 3000}
    assert not np.isfinite(rounded_answers(halved(proto), feed)[0]).all()
    result = assert_alike(proto, feed, ranges=True)
    assert float32_bytes(result) <= 4
    assert result.ByteSize() < 0.7 * proto.ByteSize()


@pytest.mark.parametrize("hidden", [-3.4028235e38, -1e9, -np.inf])
def test_attention_masks_keep_their_meaning(hidden: float) -> None:
    """Also where a row leaves nothing: float32 answers with equal shares or NaN, and so must float16."""
    proto = read(
        """(int64[N,40] mask, float[N,40] x) => (float[N,40] y) {
            q = MatMul(x, w) f = Cast<to = 9>(mask) s = Where(f, q, off) a = Softmax(s) y = MatMul(a, w) }""",
        w=WEIGHT,
        off=number(hidden),
    )
    mask = (RNG.random((3, 40)) < 0.5).astype(np.int64)
    mask[:, 0] = 1
    if np.isfinite(hidden):
        mask[2] = 0
    assert_alike(proto, {"mask": mask, "x": X})


def test_a_mask_times_the_lowest_float_is_no_nan() -> None:
    """0 × -infinity would be."""
    proto = read(
        """(float[N,40] mask, float[N,40] x) => (float[N,40] y) {
            q = MatMul(x, w) r = Sub(one, mask) p = Mul(r, lowest) s = Add(q, p) a = Softmax(s) y = MatMul(a, w) }""",
        w=WEIGHT,
        one=number(1),
        lowest=number(-3.4028235e38),
    )
    mask = np.ones((3, 40), np.float32)
    mask[:, 20:] = 0
    assert_alike(proto, {"mask": mask, "x": X})


def test_a_tiny_epsilon_does_not_become_zero() -> None:
    proto = read(
        """(float[N,40] x) => (float[N,40] y) {
            m = MatMul(x, w) n = ReduceL2<axes = [1]>(m) e = Max(n, tiny) u = Div(m, e) y = MatMul(u, w) }""",
        w=WEIGHT,
        tiny=number(1e-12),
    )
    result = assert_alike(proto, {"x": X * np.array([[1], [0], [1]], "f")})
    assert float32_bytes(result) <= 4


@pytest.mark.parametrize("bound", ["Max(a, tiny)", "Clip(a, tiny)", "Add(a, tiny)"])
def test_a_tiny_bound_of_a_float16_value_does_not_become_zero(bound: str) -> None:
    proto = read(
        f"(float[N,40] x) => (float[N,40] y) {{ m = MatMul(x, w) a = Abs(m) e = {bound} u = Div(a, e) y = MatMul(u, w) }}",
        w=WEIGHT,
        tiny=number(1e-12),
    )
    assert_alike(proto, {"x": X * np.array([[1], [0], [1]], "f")})


def test_a_value_of_unknown_type_is_met_in_its_own() -> None:
    """ONNX's shape inference does not know the runtime's own operators."""
    proto = read(
        """(float[N,40] x) => (float[N,40] y) {
            m = MatMul(x, w) g = com.microsoft.Trilu(m) h = MatMul(x, v) a = Add(g, h) y = MatMul(a, w) }""",
        imports=', "com.microsoft" : 1',
        w=WEIGHT,
        v=WEIGHT * 2,
    )
    result = assert_alike(proto, {"x": X})
    assert ops(result).count("Cast") == 2


def test_a_bound_beyond_float16_bounds_nothing() -> None:
    proto = read(
        "(float[N,40] x) => (float[N,40] y) { m = MatMul(x, w) y = Clip(m, low, high) }", w=WEIGHT, low=number(-3e38), high=number(0.25)
    )
    result = assert_alike(proto, {"x": X})
    assert ops(result) == ["Cast", "MatMul", "Clip", "Cast"]


def test_a_weight_beyond_float16_stays_float32() -> None:
    large = WEIGHT * 1e6
    proto = read(
        "(float[N,40] x) => (float[N,40] y) { m = MatMul(x, w) s = MatMul(m, l) y = Mul(s, small) }", w=WEIGHT, l=large, small=number(1e-6)
    )
    result = assert_alike(proto, {"x": X})
    assert sorted(types(result).values()) == [TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.FLOAT16]


def test_resize_keeps_its_scales_and_topk_its_indices() -> None:
    image = RNG.normal(size=(1, 3, 5, 5)).astype("f")
    proto = read(
        """(float[1,3,5,5] x) => (float[1,8,c,d] y, int64[1,8,c,3] i) {
            m = Conv(x, w) r = Resize<mode = "linear">(m, roi, scales) y = Relu(r) t, i = TopK(r, k) }""",
        w=RNG.normal(size=(8, 3, 3, 3)).astype("f"),
        roi=np.zeros(0, "f"),
        scales=np.array([1, 1, 1.7, 1.7], "f"),
        k=np.array([3]),
    )
    result = halved(proto)
    assert types(result)["scales"] == TensorProto.FLOAT
    expected, got = answers(proto, {"x": image}), answers(result, {"x": image})
    np.testing.assert_allclose(got[0], expected[0], atol=0.02)


def test_quantized_parts_are_left_alone() -> None:
    proto = read(
        """(float[N,40] x) => (float[N,40] y) {
            xq = QuantizeLinear(x, s, z) xf = DequantizeLinear(xq, s, z) wf = DequantizeLinear(q, s, z0) m = MatMul(xf, wf)
            mq = QuantizeLinear(m, s, z) mf = DequantizeLinear(mq, s, z) y = MatMul(mf, w) }""",
        w=WEIGHT,
        q=RNG.integers(-99, 99, (40, 40)).astype(np.int8),
        s=number(0.03),
        z=np.array(128, np.uint8),
        z0=np.array(0, np.int8),
    )
    result = assert_alike(proto, {"x": X})
    assert [op for op in ops(result) if op != "Cast"] == ops(proto)
    assert {name: kind for name, kind in types(result).items() if kind != TensorProto.FLOAT16} == {
        "q": TensorProto.INT8,
        "s": TensorProto.FLOAT,
        "z": TensorProto.UINT8,
        "z0": TensorProto.INT8,
    }


def test_a_shared_weight_is_stored_once() -> None:
    """Read in float16 by one node and, where values overflow, in float32 by another."""
    proto = read(
        "(float[N,40] x) => (float[N,40] y) { m = MatMul(x, w) l = Mul(m, big) n = MatMul(l, w) o = Div(n, big) y = MatMul(o, w) }",
        w=WEIGHT,
        big=number(1e6),
    )
    result = assert_alike(proto, {"x": X}, ranges=True)
    assert float32_bytes(result) <= 8


def test_a_value_that_is_output_and_used_inside_keeps_its_name() -> None:
    proto = read("(float[N,40] x) => (float[N,40] h, float[N,40] y) { h = MatMul(x, w) y = MatMul(h, w) }", w=WEIGHT)
    result = assert_alike(proto, {"x": X})
    assert [port.name for port in result.graph.output] == ["h", "y"]


def test_inputs_and_weights_may_be_outputs() -> None:
    proto = read("(float[N,40] x) => (float[N,40] y, float[N,40] same, float[40,40] w) { y = MatMul(x, w) same = Identity(x) }", w=WEIGHT)
    assert_alike(proto, {"x": X})


def test_float16_that_was_there_stays() -> None:
    proto = read(
        """(float[N,40] x) => (float16[N,40] h, float[N,40] y) {
            a = MatMul(x, w) h = Cast<to = 10>(a) f = Cast<to = 1>(h) y = MatMul(f, w) }""",
        w=WEIGHT,
    )
    result = halved(proto)
    assert [p.type.tensor_type.elem_type for p in result.graph.output] == [TensorProto.FLOAT16, TensorProto.FLOAT]
    for expected, got in zip(answers(proto, {"x": X}), answers(result, {"x": X}), strict=True):
        np.testing.assert_allclose(got, expected, atol=0.02)


def test_other_domains_are_left_alone() -> None:
    proto = read(
        """(float[N,40] x) => (float[N,40] y) {
            s = ai.onnx.ml.Scaler<offset = [0.5], scale = [2.0]>(x) y = MatMul(s, w) }""",
        imports=', "ai.onnx.ml" : 1',
        w=WEIGHT,
    )
    assert ops(assert_alike(proto, {"x": X})) == ["Scaler", "Cast", "MatMul", "Cast"]


def test_probabilities_near_one_stay_apart() -> None:
    """In float16 a sigmoid has eight values above 0.996; whoever ranks by it would find ties."""
    proto = read(
        "(float[N,40] x) => (float[N] y) { m = MatMul(x, w) s = Sigmoid(m) y = Squeeze(s, one) }", w=WEIGHT[:, :1] * 30, one=np.array([1])
    )
    x = RNG.normal(size=(2000, 40)).astype("f")
    result = assert_alike(proto, {"x": x})
    before, after = (found[found > 0.996] for found in (answers(proto, {"x": x})[0], answers(result, {"x": x})[0]))
    assert len(np.unique(after)) > 0.5 * len(np.unique(before)) > 50


@pytest.mark.parametrize("opset", range(7, 22))
def test_every_opset(opset: int) -> None:
    norm = "n = BatchNormalization(c, s, s, s, v)" if opset < 15 else "n = BatchNormalization<epsilon = 0.001>(c, s, s, s, v)"
    proto = read(
        f"""(float[N,3,8,8] x) => (float[N,4] y) {{
            c = Conv(x, w) {norm} r = Relu(n) p = GlobalAveragePool(r) f = Flatten(p) y = Softmax(f) }}""",
        opset=opset,
        w=RNG.normal(size=(4, 3, 3, 3)).astype("f"),
        s=RNG.normal(size=4).astype("f"),
        v=RNG.uniform(0.5, 1, 4).astype("f"),
    )
    assert float32_bytes(assert_alike(proto, {"x": RNG.normal(size=(2, 3, 8, 8)).astype("f")})) == 0


def test_the_same_bytes_each_time() -> None:
    proto = read("(float[N,40] x) => (float[N,40] y) { m = MatMul(x, w) e = Exp(m) y = MatMul(e, w) }", w=WEIGHT)
    assert halved(proto).SerializeToString() == halved(proto).SerializeToString()


def test_ranges_are_seen_without_keeping_values() -> None:
    proto = read("(float[N,40] x) => (float[N,40] y) { m = Mul(x, x) s = Sqrt(m) y = MatMul(s, w) }", w=WEIGHT)
    model = ir.from_proto(onnx.shape_inference.infer_shapes(proto))
    assert out_of_range(model, [{"x": X}]) == frozenset()
    assert out_of_range(model, [{"x": X}, {"x": np.full((1, 40), 300, "f")}]) == {"m"}
    assert out_of_range(model, [{"x": np.full((1, 40), np.inf, "f")}]) >= {"x", "m", "s"}
    assert len(model.graph.outputs) == 1


def test_a_weight_too_small_for_float16_stays_float32() -> None:
    tiny = WEIGHT * np.float32(1e-7)
    graph = "(float[N,40] x) => (float[N,40] y) { m = MatMul(x, w) s = MatMul(m, l) y = Mul(s, large) }"
    result = assert_alike(read(graph, w=WEIGHT, l=tiny, large=number(1e7)), {"x": X})
    kinds = types(result)
    assert kinds["l"] == TensorProto.FLOAT
    assert TensorProto.FLOAT16 in kinds.values()


def test_values_too_small_for_float16_stay_float32() -> None:
    graph = "(float[N,40] x) => (float[N,40] y) { m = MatMul(x, w) s = Mul(m, down) t = Sigmoid(m) u = Mul(s, t) y = MatMul(u, w) }"
    down = np.full(40, 1e-6, np.float32)
    proto = read(graph, w=WEIGHT, down=down)
    model = ir.from_proto(onnx.shape_inference.infer_shapes(proto))
    assert out_of_range(model, [{"x": X}]) == {"s", "u", "y"}
    assert out_of_range(model, [{"x": X}, {"x": X * 1e3}]) == frozenset()  # small on some inputs only
    result = halved(proto, {"x": X})
    expected, (found,) = answers(proto, {"x": X})[0], rounded_answers(result, {"x": X})
    np.testing.assert_allclose(found, expected, atol=0.01 * np.abs(expected).max())
