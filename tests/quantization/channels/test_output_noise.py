"""Noise at the outputs: as much as the same rounding makes when it is built in, and none where nothing shows."""

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir
import pytest

from optkit.arrays import Array
from optkit.quantization.channels.output_noise import output_noise
from optkit.quantization.fidelity.channel_noise import ChannelNoise
from optkit.quantization.integer_graph.insert_dynamic import can_be_dynamic

from ..tiny import answers, draw, read, saved

GRAPH = """(float[N,16] x) => (float[N,4] y) {
    a = MatMul(x, w) l = Mul(a, less) h = Relu(x) b = MatMul(h, v) s = Add(l, b) y = MatMul(s, u) }"""


def model_with(less: float) -> ir.Model:
    return read(GRAPH, w=draw(16, 8), v=draw(16, 8, seed=1), u=draw(8, 4, seed=2), less=less)


def noise_of(model: ir.Model, feeds: list[dict[str, Array]]) -> dict[str, float]:
    groups: dict[str, list[ir.Node]] = {}
    for node in model.graph:
        if can_be_dynamic(node):
            groups.setdefault(str(node.inputs[0].name), []).append(node)  # type: ignore[union-attr]
    return output_noise(model, groups, Given(feeds), threads=1, progress=lambda *_: None)


class Given:
    """These feeds, whatever batch is asked for."""

    whole = False

    def __init__(self, feeds: list[dict[str, Array]]) -> None:
        self.those = feeds

    def feeds(self, batch: int = 1) -> Iterator[dict[str, Array]]:
        return iter(self.those)


def rounded(x: Array) -> Array:
    low, high = min(x.min(), 0), max(x.max(), 0)
    step = (high - low) / 255
    zero = np.rint(-low / step)
    return np.asarray((np.clip(np.rint(x / step) + zero, 0, 255) - zero) * step, np.float32)


def test_it_is_the_noise_of_that_rounding_alone() -> None:
    model = model_with(1.0)
    feeds = [{"x": draw(20, 16, seed=seed)} for seed in (5, 6)]
    before = saved(model)
    found = noise_of(model, feeds)
    assert saved(model) == before
    assert list(found) == ["x", "h", "s"]
    weights = draw(16, 8), draw(16, 8, seed=1), draw(8, 4, seed=2)
    apart = ChannelNoise()
    for feed in feeds:
        x, h = feed["x"], np.maximum(feed["x"], 0)
        apart.add(answers(model, feed)["y"], (x @ weights[0] + rounded(h) @ weights[1]) @ weights[2])
    assert found["h"] == pytest.approx(apart.ratio(), rel=0.05)


def test_what_hardly_counts_makes_hardly_any_noise() -> None:
    feeds = [{"x": draw(20, 16, seed=5)}]
    loud, quiet = noise_of(model_with(1.0), feeds), noise_of(model_with(0.01), feeds)
    assert quiet["x"] < 1e-3 * loud["x"]
    assert quiet["h"] > 0.5 * loud["h"]
