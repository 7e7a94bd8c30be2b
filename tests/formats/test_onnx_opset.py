import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import numpy_helper, parser

from optkit.arrays import Array
from optkit.errors import ModelError
from optkit.formats.onnx_opset import raise_opset

IMAGE = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype("f")
SIGNATURE = "g (float[N,3,4,4] x) => (float[a,b,c,d] y)"

# what changed its form between opset 7 and 13, and the constants that it reads
CHANGED = {
    "softmax over the rest": (11, "y = Softmax<axis = 1>(x)", {}),
    "softmax by default": (12, "r = Relu(x) y = Softmax(r)", {}),
    "clip one side": (7, "y = Clip<max = 0.5>(x)", {}),
    "pad": (9, "y = Pad<pads = [0, 0, 1, 1, 0, 0, 1, 1]>(x)", {}),
    "slice": (9, "y = Slice<axes = [1], starts = [0], ends = [2]>(x)", {}),
    "top k": (9, "y, i = TopK<k = 2>(x)", {}),
    "upsample 7": (7, "y = Upsample<scales = [1.0, 1.0, 2.0, 2.0]>(x)", {}),
    "upsample 9 linear": (9, """y = Upsample<mode = "linear">(x, s)""", {"s": np.array([1, 1, 2, 2], "f")}),
    "resize 10 linear": (10, """y = Resize<mode = "linear">(x, s)""", {"s": np.array([1, 1, 2.5, 2.5], "f")}),
    "resize 10 nearest": (10, "y = Resize(x, s)", {"s": np.array([1, 1, 2.5, 2.7], "f")}),
    "dropout": (7, "d = Dropout<ratio = 0.3>(x) y = Relu(d)", {}),
    "reduce sum": (11, "y = ReduceSum<axes = [1]>(x)", {}),
    "split": (12, "y, z = Split<axis = 1, split = [1, 2]>(x)", {}),
    "unsqueeze, squeeze": (8, "u = Unsqueeze<axes = [0]>(x) y = Squeeze<axes = [0]>(u)", {}),
}


def read(opset: int, body: str, constants: dict[str, Array], signature: str = SIGNATURE) -> onnx.ModelProto:
    proto = parser.parse_model(f'<ir_version: 6, opset_import: ["" : {opset}]> {signature} {{ {body} }}')
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    return proto


def answers(proto: onnx.ModelProto, feed: dict[str, Array]) -> list[Array]:
    found: list[Array] = ort.InferenceSession(proto.SerializeToString()).run(None, feed)
    return found


@pytest.mark.parametrize("case", CHANGED)
def test_answers_stay_when_the_opset_is_raised(case: str) -> None:
    proto = read(*CHANGED[case])
    raised, note = raise_opset(ir.from_proto(proto))
    result = ir.to_proto(raised)
    assert raised.opset_imports[""] == 13
    assert note == f"converted from opset {CHANGED[case][0]} to 13"
    onnx.checker.check_model(result, full_check=True)
    np.testing.assert_allclose(answers(result, {"x": IMAGE})[0], answers(proto, {"x": IMAGE})[0], rtol=1e-6)


def test_branches_are_converted_too() -> None:
    body = """y = If (b) < then_branch = t () => (float[2,3] p) { p = Squeeze<axes = [1]>(x) },
                           else_branch = e () => (float[2,3] q) { w = Squeeze<axes = [1]>(x) q = Relu(w) } >"""
    proto = read(11, body, {}, "g (bool b, float[2,1,3] x) => (float[r,c] y)")
    result = ir.to_proto(raise_opset(ir.from_proto(proto))[0])
    for b in (True, False):
        feed = {"b": np.array(b), "x": IMAGE[:, :1, 0, :3].copy()}
        np.testing.assert_array_equal(answers(result, feed)[0], answers(proto, feed)[0])


def test_a_late_enough_model_comes_back_as_it_is() -> None:
    model = ir.from_proto(read(17, "y = Relu(x)", {}))
    assert raise_opset(model) == (model, None)


def test_metadata_and_other_domains_stay_and_the_given_model_is_not_changed() -> None:
    proto = parser.parse_model(
        f'<ir_version: 6, opset_import: ["" : 11, "their" : 2]> {SIGNATURE} {{ m = their.Magic(x) y = Unsqueeze<axes = [0]>(m) }}'
    )
    onnx.helper.set_model_props(proto, {"classes": "a b"})
    model = ir.from_proto(proto)
    result, _ = raise_opset(model)
    assert dict(result.opset_imports) == {"": 13, "their": 2}
    assert result.metadata_props == {"classes": "a b"}
    assert model.opset_imports[""] == 11
    assert next(node.op_type for node in result.graph) == "Magic"


@pytest.mark.parametrize(("opset", "body"), [(6, "y = Relu(x)"), (8, "y = BatchNormalization<spatial = 0>(x, s, s, s, s)")])
def test_what_cannot_be_converted_is_said_in_a_sentence(opset: int, body: str) -> None:
    with pytest.raises(ModelError, match=f"opset {opset}, which cannot be converted to 13"):
        raise_opset(ir.from_proto(read(opset, body, {"s": np.ones((3, 4, 4), "f")})))
