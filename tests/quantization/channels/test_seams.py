"""Factors around activations that none passes through: the answers stay, channels become alike."""

import numpy as np
import onnx_ir as ir
import pytest

from optkit.arrays import Array
from optkit.quantization.calibration.channel_ranges import channel_ranges
from optkit.quantization.channels.equalize import equalize, equalize_on, tensors_to_equalize
from optkit.quantization.channels.seams import add_seams, drop_idle_seams

from ..tiny import answers, draw, operators, read, values, watcher

SPREAD = np.array([0.05, 0.2, 1, 1, 4, 30], np.float32)
FEED = {"x": draw(8, 3, 6, 6, seed=5)}


def net(activation: str) -> ir.Model:
    return read(
        f"(float[N,3,6,6] x) => (float[N,4,6,6] y) {{ c = Conv(x, w, b) {activation} z = Conv(a, v) y = Relu(z) }}",
        18,
        w=draw(6, 3, 1, 1, seed=1) * SPREAD.reshape(-1, 1, 1, 1),
        b=draw(6, seed=2),
        v=draw(4, 6, 1, 1, seed=3),
        half=np.float32(0.5),
        one=np.float32(1),
        root=np.float32(2**0.5),
    )


GELU = "d = Div(c, root) e = Erf(d) p = Add(e, one) m = Mul(c, p) a = Mul(m, half)"
HARD = "a = HardSwish(c)"


@pytest.mark.parametrize("activation", [GELU, HARD])
def test_channels_become_alike_on_both_sides(activation: str) -> None:
    model = net(activation)
    before = answers(model, FEED)
    seamed = add_seams(model)
    np.testing.assert_allclose(answers(seamed, FEED)["y"], before["y"], rtol=1e-5, atol=1e-5)
    made, changed = equalize_on(seamed, watcher(**FEED))
    assert changed
    assert drop_idle_seams(made) == 2
    np.testing.assert_allclose(answers(made, FEED)["y"], before["y"], rtol=1e-3, atol=1e-3)
    for name, behind in (("c", "c"), ("a", "a_seam")):
        assert _unlike(values(made, [behind], FEED)[behind]) < _unlike(values(model, [name], FEED)[name]) / 2


def _unlike(value: Array) -> float:
    """How many times wider the widest channel is than the others on average."""
    wide = np.abs(value).max(axis=(0, 2, 3))
    return float(wide.max() / np.exp(np.log(wide).mean()))


def test_where_factors_pass_no_seam_is_needed() -> None:
    model = net("a = Relu(c)")
    assert operators(add_seams(model)) == operators(model)


def test_idle_seams_go() -> None:
    model = net(GELU)
    seamed = add_seams(model)
    assert sum(operators(seamed).values()) == sum(operators(model).values()) + 2
    assert drop_idle_seams(seamed) == 0
    assert operators(seamed) == operators(model)


def test_a_products_constant_per_channel_takes_factors() -> None:
    model = read(
        "(float[N,3,6,6] x) => (float[N,4,6,6] y) { c = Conv(x, w) s = Sigmoid(c) a = Mul(s, k) z = Conv(a, v) y = Relu(z) }",
        w=draw(6, 3, 1, 1),
        k=SPREAD.reshape(-1, 1, 1),
        v=draw(4, 6, 1, 1, seed=3),
    )
    before = answers(model, FEED)
    axes = tensors_to_equalize(model)
    assert "a" in axes
    made, changed = equalize(model, channel_ranges(model, axes, watcher(**FEED)))
    assert changed
    np.testing.assert_allclose(answers(made, FEED)["y"], before["y"], rtol=1e-3, atol=1e-3)
    assert _unlike(values(made, ["a"], FEED)["a"]) < _unlike(values(model, ["a"], FEED)["a"]) / 2
