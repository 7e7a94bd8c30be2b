import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper, parser
from onnx.reference import ReferenceEvaluator

from optkit.arrays import Array
from optkit.formats.onnx_simplify import simplify


def simplified(proto: onnx.ModelProto) -> onnx.ModelProto:
    result = ir.to_proto(simplify(ir.from_proto(proto)))
    onnx.checker.check_model(result, full_check=True)
    assert [v.name for v in result.graph.output] == [v.name for v in proto.graph.output]
    return result


def answers(proto: onnx.ModelProto, **feed: Array) -> list[Array]:
    return list(ReferenceEvaluator(proto).run(None, feed))


def read(text: str, **weights: Array) -> onnx.ModelProto:
    proto = parser.parse_model(text)
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    return proto


def ops(proto: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in proto.graph.node]


def test_batch_norm_goes_into_the_convolution_and_nothing_changes() -> None:
    rng = np.random.default_rng(0)
    proto = read(
        """<ir_version: 8, opset_import: ["" : 15]>
        g (float[N,3,8,8] x) => (float[N,4,6,6] y) {
            c = Conv(x, w)
            y = BatchNormalization<epsilon = 0.001>(c, scale, shift, mean, var)
        }""",
        w=rng.normal(size=(4, 3, 3, 3)).astype("f"),
        scale=rng.normal(size=4).astype("f"),
        shift=rng.normal(size=4).astype("f"),
        mean=rng.normal(size=4).astype("f"),
        var=rng.uniform(0.1, 2, 4).astype("f"),
    )
    result = simplified(proto)
    assert ops(result) == ["Conv"]
    assert result.opset_import[0].version == 15
    x = rng.normal(size=(2, 3, 8, 8)).astype("f")
    np.testing.assert_allclose(answers(result, x=x)[0], answers(proto, x=x)[0], rtol=1e-4, atol=1e-5)


def test_constants_in_branches_become_initializers_of_the_branch() -> None:
    proto = read(
        """<ir_version: 8, opset_import: ["" : 16]>
        g (bool b, float[2] x) => (float[2] y) {
            y = If (b) <
                then_branch = t () => (float[2] p) { k = Constant<value = float[2] {2, 3}>() p = Mul(x, k) },
                else_branch = e () => (float[2] q) { q = Identity(x) }
            >
        }"""
    )
    result = simplified(proto)
    branches = {a.name: a.g for a in result.graph.node[0].attribute}
    assert [v.name for v in branches["then_branch"].initializer] == ["k"]
    assert [n.op_type for n in branches["then_branch"].node] == ["Mul"]
    x = np.array([5, 7], "f")
    for b in (True, False):
        np.testing.assert_array_equal(answers(result, b=np.array(b), x=x)[0], answers(proto, b=np.array(b), x=x)[0])


def test_a_tiny_number_is_not_taken_for_zero() -> None:
    proto = read(
        """<ir_version: 8, opset_import: ["" : 13]>
        g (float[2] x) => (float[2] y) { e = Constant<value = float {1e-9}>() a = Add(x, e) y = Log(a) }"""
    )
    assert np.isfinite(answers(simplified(proto), x=np.zeros(2, "f"))[0]).all()


@pytest.mark.parametrize("op", ["Expand", "Tile"])
def test_folding_does_not_blow_up_the_file(op: str) -> None:
    proto = read(
        f"""<ir_version: 8, opset_import: ["" : 13]>
        g (float[N] x) => (float[a,b] y) {{ k = {op}(one, size) y = Add(x, k) }}""",
        one=np.ones((1, 1), "f"),
        size=np.array([1000, 300]),
    )
    assert simplified(proto).ByteSize() < 2000


def test_weight_arithmetic_is_folded_however_large() -> None:
    v = np.random.default_rng(1).normal(size=(200, 100)).astype("f")
    proto = read(
        """<ir_version: 8, opset_import: ["" : 13]>
        g (float[N,100] x) => (float[N,200] y) {
            n = ReduceL2<axes = [1]>(v) d = Div(v, n) t = Transpose<perm = [1, 0]>(d) y = MatMul(x, t)
        }""",
        v=v,
    )
    result = simplified(proto)
    assert ops(result) == ["MatMul"]
    x = np.ones((3, 100), "f")
    np.testing.assert_allclose(answers(result, x=x)[0], answers(proto, x=x)[0], rtol=1e-4, atol=1e-5)


def test_quantization_stays_visible() -> None:
    proto = read(
        """<ir_version: 8, opset_import: ["" : 13]>
        g (float[N,2] x) => (float[N,2] y) { w = DequantizeLinear(q, s) y = MatMul(x, w) }""",
        q=np.array([[1, 2], [3, 4]], np.int8),
        s=np.array(0.5, "f"),
    )
    assert ops(simplified(proto)) == ["DequantizeLinear", "MatMul"]


def test_two_random_draws_stay_two() -> None:
    proto = read(
        """<ir_version: 8, opset_import: ["" : 15]>
        g (float[N] x) => (float[N] y, float[N] z) { y = Bernoulli(x) z = Bernoulli(x) }"""
    )
    assert ops(simplified(proto)) == ["Bernoulli", "Bernoulli"]


def test_a_stale_batch_size_is_not_believed() -> None:
    proto = read(
        """<ir_version: 8, opset_import: ["" : 13]>
        g (float[N,4] x) => (int64[2] y) { a = Relu(x) y = Shape(a) }"""
    )
    proto.graph.value_info.append(helper.make_tensor_value_info("a", TensorProto.FLOAT, [1, 4]))
    np.testing.assert_array_equal(answers(simplified(proto), x=np.ones((3, 4), "f"))[0], [3, 4])


def test_weights_listed_as_inputs_by_old_exporters_become_constants() -> None:
    proto = read(
        """<ir_version: 3, opset_import: ["" : 7]>
        g (float[N,2] x, float[2,2] w) => (float[N,2] y) { t = Transpose<perm = [1, 0]>(w) y = MatMul(x, t) }""",
        w=np.array([[1, 2], [3, 4]], "f"),
    )
    result = simplified(proto)
    assert [v.name for v in result.graph.input] == ["x"]
    assert ops(result) == ["MatMul"]
    assert result.ir_version >= 4


def test_an_input_with_a_default_stays_an_input() -> None:
    proto = read(
        """<ir_version: 8, opset_import: ["" : 13]>
        g (float[N,2] x, float[1] limit) => (float[N,2] y) { h = Mul(limit, two) a = Mul(x, h) y = Add(a, two) }""",
        limit=np.ones(1, "f"),
        two=np.full(1, 2, "f"),
    )
    result = simplified(proto)
    assert [v.name for v in result.graph.input] == ["x", "limit"]
    assert ops(result) == ["Mul", "Mul", "Add"]


def test_metadata_ports_and_bytes_are_stable() -> None:
    proto = read(
        """<ir_version: 8, opset_import: ["" : 13], producer_name: "someone">
        g (float[N,4] x) => (float[rows,4] y) { i = Identity(x) a = Relu(i) y = Identity(a) }"""
    )
    helper.set_model_props(proto, {"character": "0\n1"})
    first, again = simplified(proto), simplified(proto)
    assert first.SerializeToString() == again.SerializeToString()
    assert {p.key: p.value for p in first.metadata_props} == {"character": "0\n1"}
    assert first.graph.output[0].type.tensor_type.shape.dim[0].dim_param == "rows"
    assert first.producer_name == "someone"
    assert ops(first) == ["Relu"]


def test_the_given_model_is_not_changed() -> None:
    model = ir.from_proto(
        read("""<ir_version: 8, opset_import: ["" : 13]> g (float[N] x) => (float[N] y) { i = Identity(x) y = Relu(i) }""")
    )
    before = ir.to_proto(model).SerializeToString()
    simplify(model)
    assert ir.to_proto(model).SerializeToString() == before


def test_functions_are_inlined_and_unknown_operators_kept() -> None:
    proto = read(
        """<ir_version: 8, opset_import: ["" : 13, "f" : 1, "their" : 1]>
        g (float[N] x) => (float[N] y) { a = f.twice(x) y = their.Magic(a) }
        <opset_import: ["" : 13], domain: "f"> twice (a) => (b) { b = Add(a, a) }"""
    )
    result = ir.to_proto(simplify(ir.from_proto(proto)))
    assert ops(result) == ["Add", "Magic"]
    assert not result.functions


def test_what_exporters_note_on_every_node_goes_and_what_the_model_says_of_itself_stays() -> None:
    proto = read(
        """<ir_version: 10, opset_import: ["" : 15]> g (float[N,4] x) => (float[N,4] y) { h = MatMul(x, w) y = Relu(h) }""",
        w=np.eye(4, dtype=np.float32),
    )
    proto.doc_string, proto.graph.doc_string = "a model", "its graph"
    helper.set_model_props(proto, {"author": "somebody", "pkg.torch.version": "2"})
    for node in proto.graph.node:
        node.doc_string = "/home/somebody/model.py(12): forward"
        for key in ("namespace", "pkg.torch.onnx.stack_trace", "author"):
            node.metadata_props.add(key=key, value="what it says")
    result = simplified(proto)
    assert (result.doc_string, result.graph.doc_string) == ("a model", "its graph")
    assert {entry.key for entry in result.metadata_props} == {"author", "pkg.torch.version"}
    assert all(node.doc_string == "" for node in result.graph.node)
    assert {entry.key for node in result.graph.node for entry in node.metadata_props} == {"author"}
