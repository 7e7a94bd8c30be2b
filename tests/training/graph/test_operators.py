"""Every operator against ONNX Runtime, on random numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from optkit.arrays import Array
from optkit.errors import ModelError

torch = pytest.importorskip("torch")

from optkit.training.graph import make_trainable  # noqa: E402
from optkit.training.graph.operators import OPERATORS  # noqa: E402

rng = np.random.default_rng(0)


def real(*shape: int, low: float = -2.0, high: float = 2.0) -> Array:
    return rng.uniform(low, high, shape).astype(np.float32)


def whole(*numbers: int) -> Array:
    return np.array(numbers, np.int64)


X = real(2, 3, 4)
IMAGE = real(2, 4, 7, 6)
PLAIN = (
    "Relu",
    "Sigmoid",
    "Tanh",
    "Erf",
    "Exp",
    "Abs",
    "Neg",
    "Floor",
    "Ceil",
    "Sign",
    "Sin",
    "Cos",
    "Identity",
    "HardSwish",
    "Mish",
    "Softsign",
)
REDUCED = ("Mean", "Sum", "Max", "Min", "L1", "L2", "SumSquare", "LogSumExp", "Prod")
BOTH = [True, False]
CASES: list[tuple[str, dict[str, Any], Sequence[Array | None], Sequence[Array | None]]] = [
    # operator, attributes, inputs, constants behind them
    *((name, {}, [X], []) for name in PLAIN),
    *((name, {}, [real(2, 3, low=0.1)], []) for name in ("Log", "Sqrt", "Reciprocal")),
    ("Round", {}, [np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.3], np.float32)], []),
    ("IsNaN", {}, [np.array([1, np.nan], np.float32)], []),
    ("Softplus", {}, [X], []),
    ("Dropout", {}, [X], []),
    *((name, {"alpha": 0.3}, [X], []) for name in ("LeakyRelu", "Elu", "Celu", "ThresholdedRelu")),
    ("Selu", {}, [X], []),
    ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}, [real(3, 9, low=-5, high=5)], []),
    ("Gelu", {}, [X], []),
    ("Gelu", {"approximate": "tanh"}, [X], []),
    ("PRelu", {}, [X], [real(3, 1)]),
    ("Clip", {}, [X], [np.array(-0.5, np.float32), np.array(1, np.float32)]),
    ("Clip", {}, [X], [None, np.array(0.7, np.float32)]),
    *((name, {}, [X, real(3, 1)], []) for name in ("Add", "Sub", "Mul", "Max", "Min", "Mean", "Sum", "Div")),
    *((name, {}, [X, X + 1, real(4)], []) for name in ("Max", "Sum", "Mean")),
    ("Div", {}, [whole(-7, 7, 6), whole(2, -2, 4)], []),
    ("Mod", {}, [whole(-7, 7, 6), whole(3, -3, 4)], []),
    ("Mod", {"fmod": 1}, [X, real(4, low=0.5)], []),
    ("Pow", {}, [real(2, 3, low=0.1), np.array(2.5, np.float32)], []),
    *((name, {}, [whole(1, 2, 3), whole(3, 2, 1)], []) for name in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")),
    *((name, {}, [np.array(BOTH), np.array([True, True])], []) for name in ("And", "Or", "Xor")),
    ("Not", {}, [np.array(BOTH)], []),
    ("Where", {}, [X > 0, X, real(4)], []),
    ("Cast", {"to": TensorProto.INT64}, [X], []),
    ("CastLike", {}, [X, whole(1)], []),
    ("Conv", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}, [IMAGE], [real(5, 4, 3, 3), real(5)]),
    ("Conv", {"pads": [0, 1, 2, 1], "strides": [2, 1]}, [IMAGE], [real(5, 4, 3, 3)]),
    ("Conv", {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, [IMAGE], [real(5, 4, 3, 3)]),
    ("Conv", {"auto_pad": "SAME_LOWER", "strides": [2, 2]}, [IMAGE], [real(5, 4, 2, 2)]),
    ("Conv", {"group": 4, "dilations": [2, 2]}, [IMAGE], [real(8, 1, 3, 3), real(8)]),
    ("Conv", {"pads": [2, 0]}, [real(2, 3, 9)], [real(5, 3, 3)]),
    ("ConvTranspose", {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}, [IMAGE], [real(4, 3, 3, 3), real(3)]),
    ("Gemm", {"transB": 1}, [real(3, 4)], [real(5, 4), real(5)]),
    ("Gemm", {"transA": 1, "alpha": 0.5, "beta": 2.0}, [real(4, 3)], [real(4, 5), real(3, 5)]),
    ("Gemm", {}, [real(3, 4)], [real(4, 5)]),
    ("MatMul", {}, [real(2, 3, 4), real(2, 4, 5)], []),
    ("MatMul", {}, [real(2, 3, 4)], [real(4, 5)]),
    ("Einsum", {"equation": "bij,bkj->bik"}, [X, real(2, 5, 4)], []),
    ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}, [IMAGE], []),
    ("MaxPool", {"kernel_shape": [3, 2], "strides": [2, 3], "pads": [0, 0, 2, 1], "ceil_mode": 1}, [IMAGE], []),
    ("MaxPool", {"kernel_shape": [2], "auto_pad": "SAME_UPPER", "strides": [2]}, [real(1, 2, 5)], []),
    ("AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}, [IMAGE], []),
    ("AveragePool", {"kernel_shape": [3, 3], "pads": [0, 1, 2, 1], "count_include_pad": 1}, [IMAGE], []),
    ("AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, [IMAGE], []),
    ("AveragePool", {"kernel_shape": [2, 2]}, [IMAGE], []),
    ("GlobalAveragePool", {}, [IMAGE], []),
    ("GlobalMaxPool", {}, [IMAGE], []),
    *((f"Reduce{name}", {"keepdims": 0}, [X], [whole(1, -1)]) for name in REDUCED),
    ("ReduceMean", {}, [X], []),
    ("ReduceSum", {"noop_with_empty_axes": 1}, [X], []),
    *((name, {"axis": 1}, [X], []) for name in ("Softmax", "LogSoftmax", "ArgMax", "ArgMin")),
    ("Softmax", {}, [X], []),
    ("ArgMax", {"keepdims": 0}, [X], []),
    ("CumSum", {}, [X], [np.array(1, np.int64)]),
    ("LayerNormalization", {"axis": -1, "epsilon": 1e-3}, [X], [real(4), real(4)]),
    ("LayerNormalization", {"axis": 1}, [X], [real(3, 4)]),
    ("RMSNormalization", {"axis": -1}, [X], [real(4)]),
    ("BatchNormalization", {"epsilon": 1e-3}, [IMAGE], [real(4), real(4), real(4), real(4, low=0.1)]),
    ("InstanceNormalization", {}, [IMAGE], [real(4), real(4)]),
    ("GroupNormalization", {"num_groups": 2}, [IMAGE], [real(4), real(4)]),
    ("LpNormalization", {"axis": 1, "p": 2}, [X], []),
    ("Shape", {"start": 1}, [X], []),
    ("Size", {}, [X], []),
    ("Reshape", {}, [X], [whole(0, -1)]),
    ("Flatten", {"axis": 2}, [X], []),
    ("Flatten", {"axis": -1}, [X], []),
    ("Transpose", {"perm": [2, 0, 1]}, [X], []),
    ("Transpose", {}, [X], []),
    ("Concat", {"axis": -1}, [X, real(2, 3, 1)], []),
    ("Split", {"axis": 2}, [X], [whole(1, 3)]),
    ("Split", {"axis": 1, "num_outputs": 2}, [X], []),
    ("Slice", {}, [X], [whole(1, -3), whole(3, 9), whole(1, 2), whole(1, 2)]),
    ("Slice", {}, [X], [whole(-1), whole(-(2**63)), whole(2), whole(-1)]),
    ("Slice", {}, [X], [whole(0, 1), whole(1, 2**63 - 1)]),
    ("Slice", {}, [X], [whole(2), whole(1), whole(1)]),
    ("Gather", {"axis": 1}, [X], [whole(2, -1, 0)]),
    ("Gather", {"axis": 2}, [X], [np.array(-1, np.int64)]),
    ("Gather", {"axis": 0}, [whole(5, 6, 7)], [np.array(1, np.int64)]),
    ("Gather", {}, [np.array([[1, 0], [1, 1]], np.int64)], []),  # its table is put in front below
    ("GatherElements", {"axis": 1}, [X, rng.integers(-3, 3, (2, 2, 4))], []),
    ("Squeeze", {}, [real(1, 3, 1)], [whole(0, -1)]),
    ("Squeeze", {}, [real(1, 3, 1)], []),
    ("Unsqueeze", {}, [X], [whole(0, -1)]),
    ("Expand", {}, [real(3, 1)], [whole(2, 1, 4)]),
    ("Tile", {}, [X], [whole(1, 2, 3)]),
    ("ConstantOfShape", {"value": helper.make_tensor("value", TensorProto.FLOAT, [1], [1.5])}, [whole(2, 3)], []),
    ("Range", {}, [np.array(2, np.int64), np.array(11, np.int64), np.array(3, np.int64)], []),
    ("Pad", {}, [X], [whole(0, 1, 2, 0, 0, 1), np.array(3, np.float32)]),
    ("Pad", {"mode": "reflect"}, [IMAGE], [whole(1, 2, 2, 1), None, whole(2, 3)]),
    ("Pad", {"mode": "edge"}, [IMAGE], [whole(0, 0, 1, 0, 0, 0, 2, 1)]),
    ("Resize", {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}, [IMAGE],
     [None, np.array([1, 1, 2, 3], np.float32)]),
    ("Resize", {"mode": "nearest"}, [IMAGE], [None, np.array([1, 1, 2, 2], np.float32)]),
    ("Resize", {"mode": "linear"}, [IMAGE], [None, None, whole(2, 4, 9, 13)]),
    ("Resize", {"mode": "linear", "coordinate_transformation_mode": "align_corners"}, [IMAGE], [None, None, whole(2, 4, 9, 13)]),
    ("DepthToSpace", {"blocksize": 2}, [IMAGE], []),
    ("DepthToSpace", {"blocksize": 2, "mode": "CRD"}, [IMAGE], []),
    ("SpaceToDepth", {"blocksize": 2}, [real(1, 3, 4, 6)], []),
    ("Trilu", {"upper": 0}, [X], [np.array(1, np.int64)]),
    ("Constant", {"value_floats": [1.0, 2.0]}, [], []),
    ("DequantizeLinear", {"axis": 0}, [], [rng.integers(-9, 9, (3, 2), np.int8), real(3, low=0.1), np.zeros(3, np.int8)]),
]  # fmt: skip


def one_node(
    operator: str, attributes: dict[str, Any], inputs: Sequence[Array | None], constants: Sequence[Array | None]
) -> onnx.ModelProto:
    given = {f"x{i}": np.asarray(array) for i, array in enumerate(inputs)}
    held = {f"c{i}": np.asarray(array) for i, array in enumerate(constants) if array is not None}
    names = [*given, *(f"c{i}" if array is not None else "" for i, array in enumerate(constants))]
    if operator == "Gather" and not constants:
        held, names = {"table": real(5, 3)}, ["table", "x0"]
    outputs = ["y0", "y1"] if operator == "Split" else ["y0"]
    node = helper.make_node(operator, names, outputs, "node", **attributes)
    ports = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in given.items()]
    made = [helper.make_empty_tensor_value_info(name) for name in outputs]
    weights = [numpy_helper.from_array(array, name) for name, array in held.items()]
    graph = helper.make_graph([node], "g", ports, made, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23 if operator == "RMSNormalization" else 21)], ir_version=10)


@pytest.mark.parametrize(("operator", "attributes", "inputs", "constants"), CASES, ids=[f"{i}-{c[0]}" for i, c in enumerate(CASES)])
def test_it_answers_as_onnx_runtime(
    operator: str, attributes: dict[str, Any], inputs: Sequence[Array | None], constants: Sequence[Array | None]
) -> None:
    model = one_node(operator, attributes, inputs, constants)
    feed = {f"x{i}": np.asarray(array) for i, array in enumerate(inputs)}
    wanted = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, feed)
    module = make_trainable(ir.from_proto(model), learn_ranges=False, portable=False)
    with torch.no_grad():
        answers = module(**{name: torch.from_numpy(array.copy()) for name, array in feed.items()})
    for expected, answer in zip(wanted, answers.values(), strict=True):
        assert answer.numpy().dtype == expected.dtype
        np.testing.assert_allclose(answer.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_every_operator_is_tried() -> None:
    assert set(OPERATORS) - {case[0] for case in CASES} == set()


@pytest.mark.parametrize("operator", ["NonZero", "GRU"])
def test_what_it_does_not_know_is_refused_by_name(operator: str) -> None:
    model = one_node("Relu", {}, [X], [])
    model.graph.node[0].op_type = operator
    with pytest.raises(ModelError, match=rf"{operator} \(node 'node'\)"):
        make_trainable(ir.from_proto(model), learn_ranges=False, portable=False)


def test_a_form_that_it_does_not_know_is_refused() -> None:
    model = one_node("CumSum", {"reverse": 1}, [X], [np.array(1, np.int64)])
    module = make_trainable(ir.from_proto(model), learn_ranges=False, portable=False)
    with pytest.raises(ModelError, match="CumSum that is exclusive or reversed"):
        module(torch.from_numpy(X))


def test_missing_inputs_are_named() -> None:
    module = make_trainable(ir.from_proto(one_node("Add", {}, [X, X], [])), learn_ranges=False, portable=False)
    with pytest.raises(ModelError, match="x1"):
        module(torch.from_numpy(X))
