from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from optkit.arrays import Array

from .tiny_models import floats, one_node, parse, total, visit_of, walked


def count(op_type: str, inputs: Mapping[str, tuple[int, ...]], weights: Mapping[str, Array], **more: Any) -> int:
    return total(walked(one_node(op_type, inputs, weights, **more)))


def integers(*shape: int) -> Array:
    return np.ones(shape, np.int8)


@pytest.mark.parametrize(
    ("op_type", "inputs", "weights", "more", "expected"),
    [
        ("Conv", {"x": (1, 3, 8, 8)}, {"w": floats(16, 3, 3, 3)}, {"pads": [1, 1, 1, 1]}, 16 * 8 * 8 * 27),
        ("Conv", {"x": (2, 8, 9, 9)}, {"w": floats(8, 1, 3, 3)}, {"group": 8, "strides": [2, 2]}, 2 * 8 * 4 * 4 * 9),
        ("Conv", {"x": (1, 4, 20)}, {"w": floats(6, 4, 5)}, {"dilations": [2]}, 6 * 12 * 20),
        ("ConvTranspose", {"x": (1, 4, 5, 5)}, {"w": floats(4, 2, 3, 3)}, {"strides": [2, 2]}, 4 * 25 * 2 * 9),
        ("Gemm", {"x": (3, 5)}, {"w": floats(7, 5), "b": floats(7)}, {"transB": 1}, 3 * 5 * 7),
        ("Gemm", {"x": (5, 3)}, {"w": floats(5, 7)}, {"transA": 1}, 3 * 5 * 7),
        ("MatMul", {"x": (2, 1, 6, 4), "z": (5, 4, 3)}, {}, {}, 2 * 5 * 6 * 3 * 4),
        ("MatMul", {"x": (4,)}, {"w": floats(4, 3)}, {}, 12),
        ("MatMul", {"x": (4,), "z": (4,)}, {}, {}, 4),
        ("LSTM", {"x": (7, 2, 5)}, {"w": floats(1, 12, 5), "r": floats(1, 12, 3)}, {"hidden_size": 3}, 7 * 2 * 4 * 3 * (5 + 3)),
        (
            "GRU",
            {"x": (7, 2, 5)},
            {"w": floats(2, 9, 5), "r": floats(2, 9, 3)},
            {"hidden_size": 3, "direction": "bidirectional"},
            7 * 2 * 2 * 3 * 3 * 8,
        ),
        ("RNN", {"x": (7, 2, 5)}, {"w": floats(1, 3, 5), "r": floats(1, 3, 3)}, {"hidden_size": 3}, 7 * 2 * 3 * 8),
        ("Einsum", {"x": (2, 3, 4), "z": (2, 4, 5)}, {}, {"equation": "bij,bjk->bik"}, 2 * 3 * 4 * 5),
        ("Einsum", {"x": (2, 6, 3, 4), "z": (2, 6, 5, 4)}, {}, {"equation": "...qd, ...kd -> ...qk"}, 12 * 3 * 5 * 4),
        ("Einsum", {"x": (3, 4)}, {}, {"equation": "ij->ji"}, 0),
        ("Relu", {"x": (3, 4)}, {}, {}, 0),
    ],
)
def test_macs_by_hand(
    op_type: str, inputs: dict[str, tuple[int, ...]], weights: dict[str, Array], more: dict[str, Any], expected: int
) -> None:
    assert count(op_type, inputs, weights, **more) == expected


def test_what_slides_over_less_than_itself_is_not_counted() -> None:
    (visit,) = walked(one_node("Conv", {"x": (1, 1, 128)}, {"w": floats(8, 1, 512)}, strides=[160])).visits
    assert visit.macs is None


def test_standard_attention_counts_scores_and_weighted_sum() -> None:
    by_head = {"q": (2, 4, 10, 8), "k": (2, 4, 12, 8), "v": (2, 4, 12, 6)}
    flat = {"q": (2, 10, 32), "k": (2, 12, 32), "v": (2, 12, 24)}
    expected = 2 * 4 * 10 * 12 * (8 + 6)
    assert count("Attention", by_head, {}, opset=23) == expected
    assert count("Attention", flat, {}, opset=23, q_num_heads=4, kv_num_heads=4) == expected


def test_fused_attention_counts_its_projections_too() -> None:
    found = count("Attention", {"x": (2, 10, 16)}, {"w": floats(16, 48), "b": floats(48)}, domain="com.microsoft", num_heads=4)
    assert found == 2 * 10 * 16 * 48 + 2 * (2 * 10 * 10 * 16)
    parts = {"q": (2, 10, 16), "k": (2, 12, 16), "v": (2, 12, 16)}
    assert count("MultiHeadAttention", parts, {}, domain="com.microsoft", num_heads=4) == 2 * 10 * 12 * 32


def test_a_fused_transformer_is_followed_through() -> None:
    text = """
    <ir_version: 8, opset_import: ["": 17, "com.microsoft": 1]>
    g (int32[2, 10] ids, int32[2, 10] kinds) => (float[2, 10, 4] y) {
        e, mask = com.microsoft.EmbedLayerNormalization (ids, kinds, words, places, parts, gamma, beta)
        a = com.microsoft.Attention <num_heads = 4> (e, w, b)
        s = com.microsoft.SkipLayerNormalization (a, e, gamma, beta)
        h = MatMul (s, up)
        g = com.microsoft.BiasGelu (h, bias)
        y = MatMul (g, down)
    }"""
    tables = {"words": floats(99, 16), "places": floats(12, 16), "parts": floats(2, 16), "gamma": floats(16), "beta": floats(16)}
    weights = {**tables, "w": floats(16, 48), "b": floats(48), "up": floats(16, 32), "bias": floats(32), "down": floats(32, 4)}
    attention = 2 * 10 * 16 * 48 + 2 * 10 * 10 * 32
    assert total(walked(parse(text, weights))) == attention + 20 * (16 * 32 + 32 * 4)


def test_grouped_attention_shares_keys_between_heads() -> None:
    parts = {"q": (1, 6, 32), "k": (1, 6, 16), "v": (1, 6, 16)}
    assert count("GroupQueryAttention", parts, {}, domain="com.microsoft", num_heads=4, kv_num_heads=2) == 6 * 6 * 64
    assert count("GroupQueryAttention", {"q": (1, 6, 64)}, {}, domain="com.microsoft", num_heads=4, kv_num_heads=2) == 6 * 6 * 64


@pytest.mark.parametrize(
    ("op_type", "inputs", "weights", "more", "expected"),
    [
        (
            "MatMulNBits",
            {"x": (2, 3, 64)},
            {"w": np.ones((32, 2, 16), np.uint8), "s": floats(64)},
            {"K": 64, "N": 32, "bits": 4, "block_size": 32},
            6 * 64 * 32,
        ),
        ("FusedMatMul", {"x": (2, 5, 3), "z": (2, 7, 5)}, {}, {"transA": 1, "transB": 1}, 2 * 3 * 7 * 5),
        ("DynamicQuantizeMatMul", {"x": (4, 6)}, {"w": integers(6, 5), "s": floats(1)}, {}, 120),
        ("FusedConv", {"x": (1, 3, 8, 8)}, {"w": floats(4, 3, 3, 3)}, {"activation": "Relu"}, 4 * 36 * 27),
    ],
)
def test_macs_of_runtime_operators(
    op_type: str, inputs: dict[str, tuple[int, ...]], weights: dict[str, Array], more: dict[str, Any], expected: int
) -> None:
    assert count(op_type, inputs, weights, domain="com.microsoft", **more) == expected


def test_integer_operators_count_like_their_float_forms() -> None:
    scale, zero = floats(1)[0], np.uint8(0)
    around = {"xs": scale, "xz": zero}
    conv = {**around, "w": integers(4, 3, 3, 3), "ws": scale, "wz": np.int8(0), "ys": scale, "yz": zero}
    assert count("QLinearConv", {"x": (1, 3, 8, 8)}, conv, dtype=TensorProto.UINT8) == 4 * 36 * 27
    matmul = {**around, "w": integers(6, 5), "ws": scale, "wz": np.int8(0), "ys": scale, "yz": zero}
    assert count("QLinearMatMul", {"x": (4, 6)}, matmul, dtype=TensorProto.UINT8) == 120
    assert count("MatMulInteger", {"x": (4, 6)}, {"w": integers(6, 5)}, dtype=TensorProto.UINT8) == 120
    assert count("ConvInteger", {"x": (1, 3, 8, 8)}, {"w": integers(4, 3, 3, 3)}, dtype=TensorProto.UINT8) == 4 * 36 * 27


def test_what_is_not_known_is_not_guessed() -> None:
    walk = walked(one_node("Spectral", {"x": (4, 6)}, {"w": floats(6, 5)}, domain="com.microsoft"))
    assert visit_of(walk, "Spectral").macs is None
    assert visit_of(walked(one_node("STFT", {"x": (1, 64, 1)}, {"step": np.array(8)})), "STFT").macs is None
    malformed = walked(one_node("Conv", {"x": (1, 3, 8, 8)}, {}))
    assert visit_of(malformed, "Conv").macs is None


def test_lenet_5() -> None:
    text = """
    <ir_version: 8, opset_import: ["": 17]>
    lenet (float[1, 1, 28, 28] x) => (float[1, 10] y) {
        a = Conv <pads = [2, 2, 2, 2]> (x, w1)
        b = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (a)
        c = Conv (b, w2)
        d = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (c)
        e = Flatten (d)
        f = Gemm (e, w3)
        g = Gemm (f, w4)
        y = Gemm (g, w5)
    }"""
    weights = {"w1": floats(6, 1, 5, 5), "w2": floats(16, 6, 5, 5), "w3": floats(400, 120), "w4": floats(120, 84), "w5": floats(84, 10)}
    # 117,600 + 240,000 + 48,000 + 10,080 + 840, as in every description of LeNet-5
    assert total(walked(parse(text, weights))) == 416_520


LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"


@pytest.mark.skipif(not LIGHT.is_dir(), reason="this build of onnx comes without its test models")
@pytest.mark.parametrize(("name", "macs"), [("resnet50", 4_089_184_256), ("vgg19", 19_632_062_464), ("squeezenet", 349_151_936)])
def test_published_figures_of_well_known_networks(name: str, macs: int) -> None:
    """As counted for torchvision's resnet50, vgg19 and squeezenet1_1; the files compute their weights, which are not counted."""
    assert total(walked(onnx.load(LIGHT / f"light_{name}.onnx"))) == macs


def test_vgg_16_without_its_weights() -> None:
    """Its 138 million weights are said to be in a file that is not there: nothing needs them."""
    nodes, tensors, value, channels = [], [], "x", 3
    for number, width in enumerate([64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0]):
        if width:
            tensors.append(absent(f"w{number}", (width, channels, 3, 3)))
            nodes.append(helper.make_node("Conv", [value, f"w{number}"], [f"v{number}"], pads=[1, 1, 1, 1]))
            channels = width
        else:
            nodes.append(helper.make_node("MaxPool", [value], [f"v{number}"], kernel_shape=[2, 2], strides=[2, 2]))
        value = f"v{number}"
    nodes.append(helper.make_node("Flatten", [value], ["flat"]))
    value = "flat"
    for number, (wide, narrow) in enumerate([(25088, 4096), (4096, 4096), (4096, 1000)]):
        tensors.append(absent(f"f{number}", (wide, narrow)))
        nodes.append(helper.make_node("Gemm", [value, f"f{number}"], [f"g{number}"]))
        value = f"g{number}"
    x, y = (helper.make_tensor_value_info(n, 1, s) for n, s in (("x", (1, 3, 224, 224)), (value, (1, 1000))))
    model = helper.make_model(helper.make_graph(nodes, "vgg16", [x], [y], tensors), opset_imports=[helper.make_opsetid("", 17)])
    walk = walked(model)
    # the published figures of VGG-16: 15.5 G multiply-adds; 138.36 M parameters, less 13,416 biases that are left out here
    assert total(walk) == 15_470_264_320
    assert sum(each.elements for each in walk.stored.values()) == 138_357_544 - 13_416


def absent(name: str, shape: tuple[int, ...]) -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="not-there.data")
    tensor.external_data.add(key="offset", value=name)
    return tensor


def test_an_encoder_layer_whose_shapes_are_computed_from_its_input() -> None:
    """Batch and length come out of Shape, as exporters write it; the count is the textbook's 12 l d² + 2 l² d."""
    text = """
    <ir_version: 8, opset_import: ["": 17]>
    layer (float[batch, length, 32] x) => (float[batch, length, 32] y) {
        shape = Shape (x)
        two = Constant <value = int64[1] {2}> ()
        start = Constant <value = int64[1] {0}> ()
        heads = Constant <value = int64[2] {4, 8}> ()
        whole = Constant <value = int64[1] {-1}> ()
        lead = Slice (shape, start, two)
        split = Concat <axis = 0> (lead, heads)
        joined = Concat <axis = 0> (lead, whole)
        q = MatMul (x, wq)
        k = MatMul (x, wk)
        v = MatMul (x, wv)
        q4 = Reshape (q, split)
        k4 = Reshape (k, split)
        v4 = Reshape (v, split)
        qt = Transpose <perm = [0, 2, 1, 3]> (q4)
        kt = Transpose <perm = [0, 2, 3, 1]> (k4)
        vt = Transpose <perm = [0, 2, 1, 3]> (v4)
        scores = MatMul (qt, kt)
        share = Softmax (scores)
        mixed = MatMul (share, vt)
        back = Transpose <perm = [0, 2, 1, 3]> (mixed)
        flat = Reshape (back, joined)
        out = MatMul (flat, wo)
        wide = MatMul (out, w1)
        act = Relu (wide)
        y = MatMul (act, w2)
    }"""
    square = {name: floats(32, 32) for name in ("wq", "wk", "wv", "wo")}
    model = parse(text, {**square, "w1": floats(32, 128), "w2": floats(128, 32)})
    batch, length, d = 3, 17, 32
    assert total(walked(model, {"x": (batch, length, d)})) == batch * (12 * length * d * d + 2 * length * length * d)


@settings(max_examples=25, deadline=None)
@given(
    sides=st.tuples(st.integers(5, 12), st.integers(5, 12)),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    pad=st.integers(0, 2),
    dilation=st.integers(1, 2),
    group=st.integers(1, 3),
)
def test_shapes_are_those_that_the_runtime_gives(
    sides: tuple[int, int], kernel: int, stride: int, pad: int, dilation: int, group: int
) -> None:
    if (kernel - 1) * dilation + 1 > min(sides) + 2 * pad:
        return
    weight = floats(2 * group, 2, kernel, kernel)
    more: dict[str, Any] = {"strides": [stride] * 2, "pads": [pad] * 4, "dilations": [dilation] * 2, "group": group}
    model = one_node("Conv", {"x": (1, 2 * group, *sides)}, {"w": weight}, **more)
    (answer,) = ort.InferenceSession(model.SerializeToString()).run(None, {"x": floats(1, 2 * group, *sides)})
    visit = visit_of(walked(model), "Conv")
    assert visit.outputs[0].dims == answer.shape
    # with all ones and no padding, an output is the number of its multiplications
    if pad == 0:
        assert visit.macs == int(answer.sum())


def test_old_opsets() -> None:
    text = (
        '<ir_version: 3, opset_import: ["": 7]> g (float[1, 6] x, float[6, 4] w) => (float[1, 4] y) { z = MatMul (x, w)  y = Dropout (z) }'
    )
    assert total(walked(parse(text, {"w": floats(6, 4)}))) == 24
    assert onnx.defs.onnx_opset_version() >= 7
