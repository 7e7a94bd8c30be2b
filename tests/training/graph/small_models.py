"""A small network of convolutions and a small transformer, as float ONNX models with weights made up."""

from typing import Any

import numpy as np
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper

from optkit.arrays import Array
from optkit.datasets import Examples

CLASSES = 4


def _model(nodes: list[Any], weights: dict[str, Any], port: Any) -> ir.Model:
    held = [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])
    graph = helper.make_graph(nodes, "g", [port], [output], held)
    return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))


def convolutions(spread: float = 0.0, seed: int = 0) -> ir.Model:
    """Conv, HardSwish, depthwise Conv, Relu, MaxPool, Conv, a residual Add, GlobalAveragePool, Gemm.

    With `spread`, what channels hold differs by up to 2^±spread, which the layer behind takes back.
    """
    rng = np.random.default_rng(seed)

    def kernel(*shape: int) -> Array:
        return np.asarray(rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:])), np.float32)

    gain = (2.0 ** rng.uniform(-spread, spread, 32)).astype(np.float32)
    weights = {
        "stem": kernel(32, 3, 3, 3),
        "stem_bias": kernel(32, 1)[:, 0] * np.float32(0.1),
        "deep": kernel(32, 1, 3, 3) * gain[:, None, None, None],
        "deep_bias": kernel(32, 1)[:, 0] * np.float32(0.1) * gain,
        "mix": kernel(32, 32, 1, 1) / gain[None, :, None, None],
        "mix_bias": np.zeros(32, np.float32),
        "head": kernel(CLASSES, 32) * np.float32(4),
        "head_bias": np.zeros(CLASSES, np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["image", "stem", "stem_bias"], ["a"], "stem", pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("HardSwish", ["a"], ["b"], "act"),
        helper.make_node("Conv", ["b", "deep", "deep_bias"], ["c"], "deep", pads=[1, 1, 1, 1], group=32),
        helper.make_node("Relu", ["c"], ["d"], "relu"),
        helper.make_node("MaxPool", ["d"], ["e"], "pool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["e", "mix", "mix_bias"], ["f"], "mix"),
        helper.make_node("Add", ["b", "f"], ["g"], "add"),
        helper.make_node("GlobalAveragePool", ["g"], ["h"], "mean"),
        helper.make_node("Flatten", ["h"], ["i"], "flat"),
        helper.make_node("Gemm", ["i", "head", "head_bias"], ["logits"], "head", transB=1),
    ]
    return _model(nodes, weights, helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 12, 12]))


def images(count: int = 64, seed: int = 1) -> Examples:
    """Noise around a colour."""
    rng = np.random.default_rng(seed)
    made = 2 * rng.standard_normal((count, 3, 1, 1)) + 0.5 * rng.standard_normal((count, 3, 12, 12))
    return Examples("images", {"image": made.astype(np.float32)})


def transformer(seed: int = 0) -> ir.Model:
    """Embedding, one block of attention with two heads and a GELU layer, normalizations, the mean over positions, a head."""
    rng, width, heads = np.random.default_rng(seed), 32, 2

    def matrix(rows: int, columns: int) -> Array:
        return np.asarray(rng.standard_normal((rows, columns)) / np.sqrt(rows), np.float32)

    def vector(size: int, around: float = 0.0) -> Array:
        return np.asarray(around + 0.1 * rng.standard_normal(size), np.float32)

    weights: dict[str, Any] = {
        "table": matrix(50, width) * np.float32(5),
        **{name: matrix(width, width) for name in ("wq", "wk", "wv", "wo")},
        **{f"b{name}": vector(width) for name in "qkvo"},
        **{f"scale{i}": vector(width, 1.0) for i in (1, 2)},
        **{f"shift{i}": vector(width) for i in (1, 2)},
        "up": matrix(width, 64),
        "up_bias": vector(64),
        "down": matrix(64, width),
        "down_bias": vector(width),
        "head": matrix(width, CLASSES) * np.float32(3),
        "split": np.array([0, 0, heads, width // heads], np.int64),
        "join": np.array([0, 0, width], np.int64),
        "root": np.float32(np.sqrt(width / heads)),
        "half": np.float32(0.5),
        "one": np.float32(1),
        "two_root": np.float32(np.sqrt(2)),
        "axis": np.array([1], np.int64),
    }
    n = helper.make_node
    nodes = [n("Gather", ["table", "tokens"], ["x"], "embed")]
    for name in "qkv":
        nodes += [
            n("MatMul", ["x", f"w{name}"], [f"{name}0"], f"{name}_product"),
            n("Add", [f"{name}0", f"b{name}"], [f"{name}1"], f"{name}_add"),
            n("Reshape", [f"{name}1", "split"], [f"{name}2"], f"{name}_split"),
            n("Transpose", [f"{name}2"], [f"{name}3"], f"{name}_turn", perm=[0, 2, 3, 1] if name == "k" else [0, 2, 1, 3]),
        ]
    nodes += [
        n("MatMul", ["q3", "k3"], ["s0"], "scores"),
        n("Div", ["s0", "root"], ["s1"], "scaled"),
        n("Softmax", ["s1"], ["s2"], "softmax", axis=-1),
        n("MatMul", ["s2", "v3"], ["o0"], "attend"),
        n("Transpose", ["o0"], ["o1"], "turn_back", perm=[0, 2, 1, 3]),
        n("Reshape", ["o1", "join"], ["o2"], "join"),
        n("MatMul", ["o2", "wo"], ["o3"], "o_product"),
        n("Add", ["o3", "bo"], ["o4"], "o_add"),
        n("Add", ["x", "o4"], ["r1"], "residual1"),
        n("LayerNormalization", ["r1", "scale1", "shift1"], ["n1"], "norm1"),
        n("MatMul", ["n1", "up"], ["u0"], "up_product"),
        n("Add", ["u0", "up_bias"], ["u1"], "up_add"),
        n("Div", ["u1", "two_root"], ["g0"], "gelu0"),
        n("Erf", ["g0"], ["g1"], "gelu1"),
        n("Add", ["g1", "one"], ["g2"], "gelu2"),
        n("Mul", ["u1", "g2"], ["g3"], "gelu3"),
        n("Mul", ["g3", "half"], ["g4"], "gelu4"),
        n("MatMul", ["g4", "down"], ["d0"], "down_product"),
        n("Add", ["d0", "down_bias"], ["d1"], "down_add"),
        n("Add", ["n1", "d1"], ["r2"], "residual2"),
        n("LayerNormalization", ["r2", "scale2", "shift2"], ["n2"], "norm2"),
        n("ReduceMean", ["n2"], ["m"], "mean", axes=[1], keepdims=0),
        n("MatMul", ["m", "head"], ["logits"], "head"),
    ]
    return _model(nodes, weights, helper.make_tensor_value_info("tokens", TensorProto.INT64, ["batch", "length"]))


def sentences(count: int = 64, seed: int = 1) -> Examples:
    return Examples("sentences", {"tokens": np.random.default_rng(seed).integers(0, 50, (count, 9))})
