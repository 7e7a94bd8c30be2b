"""Whatever the integer types, the numbers are the same."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from exhaustive.ground import as_operators
from exhaustive.number_formats import with_signed_activations, with_single_scales, with_unsigned_weights
from onnx import TensorProto, helper, numpy_helper

from optkit.arrays import Array
from optkit.errors import ModelError

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(4, 16)).astype(np.float32)


def constant(name: str, values: object, kind: str) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values, kind), name)


def static_model(adds: bool = True) -> onnx.ModelProto:
    """A product between Q/DQ pairs, and an addition of a quantized constant."""
    weights = [
        constant("scale", 0.03, "float32"),
        constant("zero", 120, "uint8"),
        constant("weight", RANDOM.integers(-60, 60, (16, 8)), "int8"),  # small enough for every CPU
        constant("weight_scale", np.full(8, 0.01), "float32"),
        constant("weight_zero", np.zeros(8), "int8"),
        constant("table", RANDOM.integers(0, 255, 8), "uint8"),
    ]
    addition = [
        helper.make_node("DequantizeLinear", ["table", "scale", "zero"], ["td"]),
        helper.make_node("Add", ["product", "td"], ["sum"]),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "scale", "zero"], ["xd"]),
        helper.make_node("DequantizeLinear", ["weight", "weight_scale", "weight_zero"], ["wd"], axis=1),
        helper.make_node("MatMul", ["xd", "wd"], ["product"]),
        *(addition if adds else []),
        helper.make_node("QuantizeLinear", ["sum" if adds else "product", "scale", "zero"], ["yq"]),
        helper.make_node("DequantizeLinear", ["yq", "scale", "zero"], ["y"]),
    ]
    return model(nodes, weights)


def gated_model() -> onnx.ModelProto:
    """Bytes that are cut off, and read on another grid."""
    weights = [
        constant("scale", 0.03, "float32"),
        constant("zero", 120, "uint8"),
        constant("gate_scale", 0.005, "float32"),
        constant("gate_zero", 70, "uint8"),
        constant("low", 70, "uint8"),
        constant("high", 170, "uint8"),
        constant("mix", RANDOM.normal(size=(16, 8)) / 4, "float32"),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["xq"]),
        helper.make_node("Clip", ["xq", "low", "high"], ["cut"]),
        helper.make_node("Clip", ["xq", "", "high"], ["high_cut"]),
        helper.make_node("DequantizeLinear", ["cut", "gate_scale", "gate_zero"], ["gate"]),
        helper.make_node("DequantizeLinear", ["high_cut", "scale", "zero"], ["xd"]),
        helper.make_node("Mul", ["xd", "gate"], ["gated"]),
        helper.make_node("MatMul", ["gated", "mix"], ["y"]),
    ]
    return model(nodes, weights)


def padded_model() -> onnx.ModelProto:
    """Channels of zeros behind the bytes, which weights of zero multiply."""
    mix = np.concatenate([RANDOM.normal(size=(16, 8)) / 4, np.zeros((2, 8))])
    weights = [
        constant("scale", 0.03, "float32"),
        constant("zero", 120, "uint8"),
        constant("widths", [0, 0, 0, 2], "int64"),
        constant("mix", mix, "float32"),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["xq"]),
        helper.make_node("Pad", ["xq", "widths", "zero"], ["wider"]),
        helper.make_node("DequantizeLinear", ["wider", "scale", "zero"], ["xd"]),
        helper.make_node("MatMul", ["xd", "mix"], ["y"]),
    ]
    return model(nodes, weights)


def dynamic_model() -> onnx.ModelProto:
    weights = [
        constant("weight", RANDOM.integers(-60, 60, (16, 8)), "int8"),
        constant("weight_zero", np.zeros(8), "int8"),
        constant("weight_scale", np.full(8, 0.01), "float32"),
    ]
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["xq", "scale", "zero"]),
        helper.make_node("MatMulInteger", ["xq", "weight", "zero", "weight_zero"], ["integers"]),
        helper.make_node("Mul", ["scale", "weight_scale"], ["scales"]),
        helper.make_node("Cast", ["integers"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["floats", "scales"], ["y"]),
    ]
    return model(nodes, weights)


def model(nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto]) -> onnx.ModelProto:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", size]) for name, size in (("x", 16), ("y", 8))]
    made = helper.make_model(
        helper.make_graph(nodes, "g", ends[:1], ends[1:], weights), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    onnx.checker.check_model(made, full_check=True)
    return made


def answers(made: onnx.ModelProto | Path, optimize: bool = True) -> Array:
    options = onnxruntime.SessionOptions()
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    given = str(made) if isinstance(made, Path) else made.SerializeToString()
    return np.asarray(onnxruntime.InferenceSession(given, options).run(None, {"x": X})[0])


def integer_types(made: onnx.ModelProto) -> set[int]:
    """Of what Q/DQ nodes and integer products read."""
    held = {t.name: t.data_type for t in made.graph.initializer}
    names = {n for node in made.graph.node if "Linear" in node.op_type or "Integer" in node.op_type for n in node.input}
    return {held[n] for n in names if n in held} - {TensorProto.FLOAT}


CASES = [
    (static_model, with_signed_activations, {TensorProto.INT8}),
    (gated_model, with_signed_activations, {TensorProto.INT8}),
    (padded_model, with_signed_activations, {TensorProto.INT8}),
    (static_model, with_unsigned_weights, {TensorProto.UINT8}),
    (dynamic_model, with_unsigned_weights, {TensorProto.UINT8}),
    (static_model, with_single_scales, {TensorProto.INT8, TensorProto.UINT8}),
    (dynamic_model, with_single_scales, {TensorProto.INT8}),
]


@pytest.mark.parametrize(("start", "change", "types"), CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_other_types_hold_the_same_numbers(
    start: Callable[[], onnx.ModelProto], change: Callable[[onnx.ModelProto], onnx.ModelProto], types: set[int]
) -> None:
    before = start()
    text = before.SerializeToString()
    after = change(before)
    assert before.SerializeToString() == text
    onnx.checker.check_model(after, full_check=True)
    assert integer_types(after) == types
    np.testing.assert_allclose(answers(after, optimize=False), answers(before, optimize=False), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(answers(after), answers(before), atol=0.031)  # fused kernels round once less: a step at most


def test_single_scales_are_numbers() -> None:
    after = with_single_scales(static_model())
    shapes = {tensor.name: list(tensor.dims) for tensor in after.graph.initializer}
    assert shapes["weight_scale"] == []
    assert shapes["weight_zero"] == []
    assert with_single_scales(after) == after


def test_scales_that_differ_stay_a_vector() -> None:
    varied = static_model()
    next(t for t in varied.graph.initializer if t.name == "weight_scale").CopyFrom(constant("weight_scale", np.arange(1, 9), "float32"))
    assert with_single_scales(varied) == varied


def test_a_file_that_onnxruntime_refuses_is_an_error_of_ours(tmp_path: Path) -> None:
    broken = static_model()
    broken.graph.node[0].op_type = "NoSuchOperator"
    onnx.save(broken, tmp_path / "m.onnx")
    with pytest.raises(ModelError):
        as_operators(tmp_path / "m.onnx")


def test_integer_operators_take_the_place_of_pairs(tmp_path: Path) -> None:
    onnx.save(static_model(adds=False), tmp_path / "m.onnx")
    made = as_operators(tmp_path / "m.onnx")
    operators = {node.op_type for node in onnx.load(made).graph.node}
    assert operators == {"QuantizeLinear", "QLinearMatMul", "DequantizeLinear"}
    np.testing.assert_allclose(answers(made), answers(tmp_path / "m.onnx"), atol=1e-6)
