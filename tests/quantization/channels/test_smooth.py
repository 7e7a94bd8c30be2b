"""Smoothing: equal in float, and less error in integers where channels stick out."""

import numpy as np
import onnx_ir as ir
import pytest

from optkit.arrays import Array
from optkit.quantization.calibration.means import channel_means, source_of
from optkit.quantization.channels.divide import Division, divide_inputs
from optkit.quantization.channels.smooth import Products, Seen, find_smoothing, likely_divisions
from optkit.quantization.integer_graph.insert_dynamic import insert_dynamic
from optkit.quantization.variants.build import build
from optkit.quantization.variants.learned import Learned
from optkit.quantization.variants.treatment import Treatment, Way

from ..tiny import answers, draw, read, saved, watcher

BRANCHED = "(float[N,7,32] x) => (float[N,7,16] y, float[N,7,6] z, float[N,7,32] r) { r = Relu(x) y = MatMul(r, w) z = MatMul(r, v) }"


def branched() -> ir.Model:
    return read(BRANCHED, w=draw(32, 16), v=draw(32, 6, seed=2))


def with_outliers(count: int = 12) -> Array:
    x = draw(count, 7, 32, seed=5)
    x[..., [3, 17]] *= 60
    return x


def found_for(model: ir.Model, x: Array) -> dict[str, Division]:
    return find_smoothing(model, watcher(x=x))


def noise(model: ir.Model, made: ir.Model, feed: dict[str, Array]) -> float:
    truth, found = answers(model, feed), answers(made, feed)
    return max(float(((found[name] - truth[name]) ** 2).sum() / (truth[name] ** 2).sum()) for name in ("y", "z"))


def test_outlier_channels_are_taken_out_and_the_error_falls() -> None:
    model, feed = branched(), {"x": with_outliers()}
    found = found_for(model, with_outliers(20))
    assert set(found) == {"r"}
    factor = found["r"].factor()
    assert factor[[3, 17]].max() < 0.5 * np.delete(factor, [3, 17]).min()
    plain, smooth = model.clone(), model.clone()
    divide_inputs(smooth.graph, ["y", "z"], found)
    insert_dynamic(plain.graph, ["y", "z"])
    insert_dynamic(smooth.graph, ["y", "z"])
    assert noise(model, smooth, feed) < 0.2 * noise(model, plain, feed)


@pytest.mark.parametrize(("channels", "counts"), [([9], (1, 2, 4, 8)), ([3, 9, 17, 21], (4, 8))])
def test_the_formula_tells_channels_to_take_apart(channels: list[int], counts: tuple[int, ...]) -> None:
    """One value in a thousand is huge: dividing such a channel by what it takes would leave its weights no precision."""
    x = np.abs(draw(40, 32, seed=3))
    x[5, channels] = 500.0
    products = Products(seen_of(x), [draw(32, 16)])
    divided, apart = likely_divisions(products)
    assert not len(divided.apart)
    assert len(apart.apart) in counts
    assert set(channels) <= set(apart.apart.tolist())
    assert products.error(apart) < 0.2 * products.error(divided) < products.error(products.nothing)


def test_the_formula_is_close_to_what_is_measured() -> None:
    products = Products(seen_of(draw(60, 32, seed=3)), [draw(32, 16), draw(32, 48, seed=1)])
    assert products.expected_error(products.nothing) == pytest.approx(products.error(products.nothing), rel=0.15)
    assert products.error(products.nothing, weights=False) < products.error(products.nothing)


def seen_of(x: Array) -> Seen:
    return Seen([x], [x.min(axis=0)], [x.max(axis=0)], [len(x)])


def test_without_outliers_nothing_is_divided() -> None:
    assert found_for(branched(), draw(20, 7, 32, seed=5)) == {}


def test_no_matrix_products_no_smoothing() -> None:
    model = read("(float[N,8,4,4] x) => (float[N,8,4,4] y) { y = Conv(x, w) }", w=draw(8, 8, 1, 1))
    assert found_for(model, draw(3, 8, 4, 4)) == {}


@pytest.mark.parametrize("value", [0.0, 1e-30, 5.0])
def test_constant_and_dead_channels_do_no_harm(value: float) -> None:
    model, x = branched(), with_outliers()
    x[..., 5] = value
    x[..., 6] = 0
    found = found_for(model, x)
    assert np.isfinite(found["r"].divisor).all()
    assert (found["r"].divisor > 0).all()


def test_all_zero_inputs_are_left_alone() -> None:
    assert found_for(branched(), np.zeros((4, 7, 32), np.float32)) == {}


@pytest.mark.parametrize("apart", [[], [5]])
def test_a_smoothed_treatment_corrects_biases_of_what_it_divided(apart: list[int]) -> None:
    graph = "(float[N,7,32] x) => (float[N,7,8] y) { m = MatMul(x, w) y = Add(m, b) }"
    model = read(graph, w=draw(32, 8), b=draw(8))
    x = np.abs(with_outliers(20))
    nodes = [n for n in model.graph if n.op_type == "MatMul"]
    means = channel_means(model, nodes, {}, watcher(x=x))
    assert source_of(nodes[0]) in means
    divisor = np.where(np.isin(np.arange(32), [3, 17]), 8, 1).astype(np.float32)
    smoothing = {"x": Division(divisor, np.array(apart, np.int64))}
    before = saved(model)
    treatment = Treatment("smoothed", {"m": Way.DYNAMIC}, smooth=True)
    corrected, plain = (build(model, treatment, Learned({}, kept, smoothing)) for kept in (means, {}))
    assert saved(model) == before
    truth = answers(model, {"x": x})["y"].mean((0, 1))
    off = [np.abs(answers(made, {"x": x})["y"].mean((0, 1)) - truth).max() for made in (corrected, plain)]
    assert off[0] < 0.5 * off[1]
