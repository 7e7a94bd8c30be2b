"""Times by node from a profile, and what each node saves."""

from pathlib import Path

import numpy as np
import pytest

from optkit.quantization.variants.build import build
from optkit.quantization.variants.learned import Learned
from optkit.quantization.variants.node_times import (
    Profile,
    gains,
    node_times,
    profile_nodes,
    seconds_in_float,
    seconds_in_integers,
    time_of,
    time_of_product,
    undisturbed,
)
from optkit.quantization.variants.treatment import Treatment, Way

from ..tiny import draw, read, saved


def test_every_node_of_a_model_has_a_time(tmp_path: Path) -> None:
    model = read("(float[N,40] x) => (float[N,40] y) { m = MatMul(x, w) s = Sin(m) y = Cos(s) }", w=draw(40, 40))
    path = tmp_path / "model.onnx"
    path.write_bytes(saved(model))
    found = node_times(path, [{"x": draw(2, 40)}, {"x": draw(3, 40)}], 1, "cpu")
    assert set(found) == {"m", "s", "y"}
    assert all(0 < seconds < 1 for seconds in found.values())
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("name", "seconds"), [("conv", 3.0), ("conv1", 2.0), ("pool", None), ("relu", 5.0), ("conv_1", 3.0), ("", None)])
def test_a_node_is_found_under_the_names_that_the_runtime_gives_it(name: str, seconds: float | None) -> None:
    times = {"conv": 1.0, "conv_1_quant": 3.0, "conv1": 2.0, "relu/fused": 5.0, "_odd": 9.0}
    assert time_of(name, times) == (9.0 if name == "" else seconds)


def test_a_node_is_told_from_one_that_is_called_like_it_and_a_number() -> None:
    times = {"node_token_5": 1.0, "node_7": 9.0, "node_8_token_6": 2.0}
    assert [time_of(name, times) for name in ("node", "node_7", "node_8")] == [1.0, 9.0, 2.0]


def test_dynamic_products_are_found_by_what_they_write(tmp_path: Path) -> None:
    """Not every exporter names a value after the node that makes it."""
    model = read("(float[N,40] x) => (float[N,40] y) { m = MatMul(x, w) s = Sin(m) y = MatMul(s, w) }", w=draw(40, 40))
    for node in model.graph:
        node.name = f"node {node.outputs[0].name}"
    made = build(model, Treatment("dynamic", {"node m": Way.DYNAMIC}, compress=False), Learned())
    times = []
    for name, each in (("before", model), ("after", made)):
        (tmp_path / name).write_bytes(saved(each))
        times.append(profile_nodes(tmp_path / name, [{"x": draw(2, 40)}], 1, "cpu"))
    before, after = times
    assert time_of_product("m", after.seconds) is not None
    assert time_of_product("y", after.seconds) is None
    assert "node m" in gains(model.graph, before, after)


def test_each_feed_counts_as_much_as_any_other(tmp_path: Path) -> None:
    """A branch that one of two feeds takes counts half; what runs several times in a loop counts as often."""
    model = read(
        """(float[40,40] x, bool k) => (float[40,40] y) {
            n = Constant<value = int64 {3}>()
            c = Constant<value = bool {1}>()
            p = Loop (n, c, x) <body = l (int64 i, bool d, float[40,40] v) => (bool e, float[40,40] u) { e = Identity(d) u = Cos(v) }>
            y = If (k) <then_branch = t () => (float[40,40] q) { q = Sin(p) }, else_branch = o () => (float[40,40] r) { r = Relu(p) }> }"""
    )
    path = tmp_path / "model.onnx"
    path.write_bytes(saved(model))
    feeds = [{"x": draw(40, 40), "k": np.array(each)} for each in (True, False)]
    both, one = node_times(path, feeds, 1, "cpu"), node_times(path, feeds[:1], 1, "cpu")
    assert {"q", "r"} <= both.keys()
    assert "r" not in one
    assert all(both[name] > 0 for name in ("q", "r", "u"))


def told(seconds: dict[str, float], operators: dict[str, str]) -> Profile:
    return Profile(seconds, {}, dict.fromkeys(seconds, "MatMul") | operators)


def test_gains_are_seconds_saved_by_nodes_known_in_both() -> None:
    model = read("(float[N,4] x) => (float[N,4] d) { a = MatMul(x, w) b = MatMul(a, w) c = MatMul(b, w) d = MatMul(c, w) }", w=draw(4, 4))
    found = gains(model.graph, told({"a": 3.0, "b": 1.0, "c": 1.0}, {}), told({"a_quant": 1.0, "b": 1.5, "d": 1.0}, {}))
    assert found == {"a": 2.0, "b": -0.5}


def test_a_layer_is_not_what_is_only_called_after_it() -> None:
    model = read("(float[N,4] x) => (float[N,4] r) { a = MatMul(x, w) r = Relu(a) }", w=draw(4, 4))
    layer = model.graph[0]
    assert seconds_in_float(layer, told({"a_reorder": 0.1}, {"a_reorder": "ReorderOutput"})) is None
    assert (
        seconds_in_float(layer, told({"a_reorder": 0.1, "r_fused": 5.0}, {"a_reorder": "ReorderOutput", "r_fused": "FusedMatMul"})) == 5.0
    )


def test_what_a_convolution_takes_in_costs_nothing_beside_it() -> None:
    """ONNX Runtime calls a convolution of its own layout after what the last node that it took in writes."""
    model = read(
        """(float[1,16,8,8] x) => (float[1,16,8,8] y) {
            c = Conv(x, w) l = LeakyRelu(c) d = Conv(l, w) s = Add(d, l) r = Relu(s) y = MaxPool<kernel_shape=[1,1]>(r) }""",
        w=draw(16, 16, 1, 1),
    )
    for node in model.graph:
        node.name = f"node of {node.outputs[0].name}"
    kinds = {"l_nchwc": "Conv", "r_nchwc": "Conv", "y_nchwc": "MaxPool"}
    before = told({"l_nchwc": 3.0, "r_nchwc": 4.0, "y_nchwc": 1.0}, kinds)
    assert [seconds_in_float(node, before) for node in model.graph] == [3.0, None, 4.0, None, None, 1.0]


def test_a_gate_in_integers_is_its_clip() -> None:
    model = read("(float[N,4] x) => (float[N,4] g) { g = HardSigmoid(x) }")
    assert seconds_in_integers(model.graph[0], told({"g_cut_off_Clip": 2.0}, {})) == 2.0
    assert seconds_in_integers(model.graph[0], told({"other": 2.0}, {})) is None


@pytest.mark.parametrize("runs", [3, 9, 10, 200])
def test_what_disturbs_fewer_than_half_of_the_runs_does_not_count(runs: int) -> None:
    quiet = np.full((runs, 2), [1.0, 3.0])
    busy = quiet.copy()
    busy[: runs // 2] *= 10
    assert undisturbed(busy) == undisturbed(quiet) == 2.0
