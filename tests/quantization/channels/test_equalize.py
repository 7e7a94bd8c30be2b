"""Equalized graphs answer as before, and their channels have alike ranges."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optkit.arrays import Array
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.channels.equalize import equalize_on, tensors_to_equalize
from optkit.quantization.graphs import constant_array

from ..tiny import answers, draw, read
from ..tiny import watcher as tiny_watcher

BETWEEN = {
    "relu": "b = Relu(a)",
    "leaky": "b = LeakyRelu<alpha=0.1>(a)",
    "plain": "b = Identity(a)",
    "max": "r = Relu(a) b = MaxPool<kernel_shape=[2,2], strides=[1,1], pads=[0,0,1,1]>(r)",
    "average": "b = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1>(a)",
    "pad": "r = Relu(a) b = Pad(r, pads)",
    "gate": "p = GlobalAveragePool(a) g = Conv(p, wg) s = HardSigmoid(g) b = Mul(s, a)",
    "mean": "b = ReduceMean<axes=[2,3]>(a)",
    "residual": "r = Conv(a, wr) n = Relu(r) b = Add(a, n)",
    "depthwise": "r = Relu(a) b = Conv<group=6, pads=[1,1,1,1]>(r, wd, bd)",
    "grouped": "r = Relu(a) b = Conv<group=2>(r, w2)",
    "constant": "c = Add(a, k) m = Mul(c, k) b = Relu(m)",
    "bent": "s = Sigmoid(a) b = Mul(a, s)",
    "clipped": "b = Clip(a, zero, six)",
}
ENDS = {
    "conv": ("float[N,4,H,W] y", "y = Conv(b, we, be)"),
    "gemm": ("float[N,5] y", "h = GlobalAveragePool(b) f = Flatten(h) y = Gemm<transB=1>(f, wl, bl)"),
    "product": ("float[N,H,W,5] y", "t = Transpose<perm=[0,2,3,1]>(b) y = MatMul(t, wm)"),
    "both": ("float[N,10,H,W] y", "e = Conv(b, we, be) y = Concat<axis=1>(e, b)"),
    "concat": (
        "float[N,4,H,W] y",
        "o = Conv(x, wf) q = Relu(o) d = GlobalAveragePool(q) e = GlobalAveragePool(b) j = Concat<axis=1>(e, d) y = Conv(j, wj)",
    ),
}


def uneven(*shape: int, seed: int) -> Array:
    """Weights whose output channels differ a hundredfold."""
    spread = np.geomspace(0.1, 10, shape[0]).astype(np.float32)
    return np.asarray(draw(*shape, seed=seed) * np.random.default_rng(seed).permutation(spread).reshape(-1, *[1] * (len(shape) - 1)))


def network(between: str, end: str) -> ir.Model:
    output, last = ENDS[end]
    constants = {
        "w": uneven(6, 3, 3, 3, seed=1), "c0": draw(6, seed=2), "we": draw(4, 6, 1, 1, seed=3), "be": draw(4, seed=4),
        "wl": draw(5, 6, seed=5), "bl": draw(5, seed=6), "wm": draw(6, 5, seed=7), "wg": draw(6, 6, 1, 1, seed=8),
        "wr": draw(6, 6, 1, 1, seed=9),
        "wd": draw(6, 1, 3, 3, seed=10), "bd": draw(6, seed=11), "w2": draw(6, 3, 1, 1, seed=12), "k": draw(6, 1, 1, seed=13),
        "zero": np.float32(0), "six": np.float32(6), "wf": uneven(2, 3, 1, 1, seed=14), "wj": draw(4, 8, 1, 1, seed=15),
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
    }  # fmt: skip
    body = f"a = Conv(x, w, c0) {BETWEEN[between]} {last}"
    used: dict[str, Any] = {name: array for name, array in constants.items() if f" {name}," in body or f" {name})" in body}
    return read(f"(float[N,3,8,8] x) => ({output}) {{ {body} }}", 17, **used)


def watcher() -> Watcher:
    return tiny_watcher(x=draw(6, 3, 8, 8, seed=20))


@pytest.mark.slow
@given(st.sampled_from(sorted(BETWEEN)), st.sampled_from(sorted(ENDS)))
@settings(deadline=None, max_examples=50)
def test_the_answers_stay(between: str, end: str) -> None:
    model = network(between, end)
    made, _ = equalize_on(model, watcher())
    feed = {"x": draw(2, 3, 8, 8, seed=21)}
    before, after = answers(model, feed)["y"], answers(made, feed)["y"]
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5 * np.abs(before).max())


@pytest.mark.parametrize("between", ["relu", "max", "depthwise", "gate"])
def test_ranges_become_alike(between: str) -> None:
    model = network(between, "conv")
    made, count = equalize_on(model, watcher())
    assert count
    assert unevenness(made) < unevenness(model) / 2


def unevenness(model: ir.Model) -> float:
    """Widest over narrowest output channel of the first layer, by its weights."""
    weight = constant_array(model.graph[0].inputs[1])
    assert weight is not None
    peaks = np.abs(weight).max(axis=(1, 2, 3))
    return float(peaks.max() / peaks.min())


@pytest.mark.parametrize("between", ["bent", "clipped"])
def test_what_bends_channels_is_left_alone(between: str) -> None:
    model = network(between, "conv")
    assert tensors_to_equalize(model) == {}


def test_the_model_given_is_not_changed() -> None:
    model = network("relu", "conv")
    before = ir.to_proto(model).SerializeToString()
    equalize_on(model, watcher())
    assert ir.to_proto(model).SerializeToString() == before


def test_shared_weights_are_left_alone() -> None:
    model = read("(float[N,6,4,4] x) => (float[N,6,4,4] y) { a = Conv(x, w) b = Relu(a) y = Conv(b, w) }", w=uneven(6, 6, 1, 1, seed=1))
    assert tensors_to_equalize(model) == {}


def test_outputs_in_the_middle_keep_their_scale() -> None:
    model = read(
        "(float[N,3,4,4] x) => (float[N,6,4,4] b, float[N,4,4,4] y) { a = Conv(x, w) b = Relu(a) y = Conv(b, v) }",
        w=uneven(6, 3, 1, 1, seed=1),
        v=draw(4, 6, 1, 1),
    )
    assert tensors_to_equalize(model) == {}
