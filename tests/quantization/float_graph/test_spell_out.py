"""Operators that ONNX Runtime fused when it saved a model, spelled out again."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import numpy_helper, parser

from optkit.formats.onnx import load_model, save_model
from optkit.quantization.float_graph.prepare import prepare
from optkit.quantization.float_graph.spell_out import spell_out

from ..tiny import answers, draw, operators, read

RUNTIME = "com.microsoft"


def optimized(model: ir.Model, folder: Path) -> ir.Model:
    """As ONNX Runtime saves it with its fusions."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(folder / "saved.onnx")
    save_model(model, folder / "plain.onnx")
    ort.InferenceSession(str(folder / "plain.onnx"), options, providers=["CPUExecutionProvider"])
    return load_model(folder / "saved.onnx")


@pytest.mark.parametrize(
    "activation",
    ["Relu(c)", "Sigmoid(c)", "Tanh(c)", "LeakyRelu<alpha=0.2>(c)", "HardSigmoid<alpha=0.3, beta=0.4>(c)", "Clip(c, low, high)"],
)
def test_a_saved_convolution_can_be_quantized_again(activation: str, tmp_path: Path) -> None:
    graph = f"c = Conv<pads=[1,1,1,1], strides=[2,2]>(x, w, b) y = {activation}"
    constants = {"low": np.float32(-0.2), "high": np.float32(0.7)} if "Clip" in activation else {}
    model = read(f"(float[N,4,8,8] x) => (float[N,6,4,4] y) {{ {graph} }}", w=draw(6, 4, 3, 3), b=draw(6, seed=1), **constants)
    feed = {"x": draw(2, 4, 8, 8, seed=2)}
    saved = optimized(model, tmp_path)
    assert operators(saved) == {"FusedConv": 1}
    exact = answers(saved, feed)["y"]
    ready = prepare(saved).model
    assert operators(ready) == {"Conv": 1, activation.split("(")[0].split("<")[0]: 1}
    np.testing.assert_allclose(answers(ready, feed)["y"], exact, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(answers(model, feed)["y"], exact, rtol=1e-5, atol=1e-6)


def fused(graph: str, **weights: np.ndarray) -> ir.Model:
    """A model of ONNX Runtime's own operators."""
    named = graph.replace("OURS", RUNTIME)
    proto = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17, "{RUNTIME}" : 1]> g {named}')
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    return ir.from_proto(proto)


@pytest.mark.parametrize(
    ("graph", "spelled"),
    [
        (
            '(float[N,4,8,8] x, float[N,6,6,6] z) => (float[N,6,6,6] y) { y = OURS.FusedConv<activation="Relu">(x, w, b, z) }',
            "Conv Add Relu",
        ),
        ("(float[N,4,8,8] x) => (float[N,6,6,6] y) { y = OURS.FusedConv(x, w) }", "Conv"),
        ('(float[N,5] x) => (float[N,7] y) { y = OURS.FusedGemm<activation="Relu", transB=1, alpha=0.5>(x, g, c) }', "Gemm Relu"),
        (
            '(float[N,5] x) => (float[N,7] y) { y = OURS.FusedGemm<activation="LeakyRelu", activation_alpha=0.3, transB=1>(x, g, c) }',
            "Gemm LeakyRelu",
        ),
        ("(float[N,2,5] x) => (float[N,2,7] y) { y = OURS.FusedMatMul<transB=1, alpha=0.5>(x, g) }", "MatMul"),
    ],
)
def test_each_says_the_same(graph: str, spelled: str) -> None:
    weights = {"w": draw(6, 4, 3, 3), "b": draw(6, seed=1), "g": draw(7, 5, seed=2), "c": draw(7, seed=3)}
    model = fused(graph, **weights)
    feed = {str(v.name): draw(*(2 if not isinstance(s, int) else s for s in v.shape), seed=5) for v in model.graph.inputs}  # type: ignore[union-attr]
    exact = answers(model, feed)["y"]
    assert spell_out(model) == 1
    assert [n.op_type for n in model.graph] == spelled.split()
    assert not any(n.domain for n in model.graph)
    np.testing.assert_allclose(answers(model, feed)["y"], exact, rtol=1e-5, atol=1e-5)


ATTENTION = "(float[2,6,8] x, int32[2,6] mask) => (float[2,6,8] y) { y = OURS.Attention<num_heads=2>(x, w, b, mask) }"


def test_the_products_of_an_attention_become_one_that_can_be_quantized() -> None:
    model = fused(ATTENTION, w=draw(8, 24), b=draw(24, seed=1))
    mask = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]], np.int32)
    feed = {"x": draw(2, 6, 8, seed=2), "mask": mask}
    exact = answers(model, feed)["y"]
    ready = prepare(model).model
    assert operators(ready) == {"MatMul": 1, "Add": 1, "Split": 1, "MultiHeadAttention": 1}
    np.testing.assert_allclose(answers(ready, feed)["y"], exact, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "graph",
    [
        '(float[N,4,8,8] x) => (float[N,6,6,6] y) { y = OURS.FusedConv<activation="Unheard">(x, w) }',
        '(float[N,4,8,8] x) => (float[N,6,6,6] y) { y = OURS.FusedConv<activation="LeakyRelu">(x, w) }',
        "(float[N,5] x, float[5,7] g) => (float[N,7] y) { y = OURS.FusedMatMul(x, g) }",
        "(float[5,2] x) => (float[2,7] y) { y = OURS.FusedMatMul<transA=1>(x, h) }",
        "(float[2,6,8] x) => (float[2,6,8] y, float[2,2,2,6,4] k) { y, k = OURS.Attention<num_heads=2>(x, q, c) }",
        "(float[2,6,8] x, int32[2] lengths) => (float[2,6,8] y) { y = OURS.Attention<num_heads=2>(x, q, c, lengths) }",
    ],
)
def test_what_is_not_known_stays(graph: str) -> None:
    weights = {"w": draw(6, 4, 3, 3), "h": draw(5, 7, seed=2), "q": draw(8, 24, seed=3), "c": draw(24, seed=4)}
    model = fused(graph, **{name: array for name, array in weights.items() if f" {name}" in graph.split("{")[1]})
    before = operators(model)
    assert spell_out(model) == 0
    assert operators(model) == before
