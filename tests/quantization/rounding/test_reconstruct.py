"""Reconstruction: integers move by 1 at most and leave less error where it was learned; biases give channels the float model's mean."""

import numpy as np
import onnx_ir as ir
import pytest

from optkit.arrays import Array
from optkit.quantization.affine import grid_for
from optkit.quantization.calibration.patch_moments import as_rows
from optkit.quantization.integer_graph.integer_layers import IntegerLayer, integer_layers
from optkit.quantization.integer_graph.saturation import worst_pair_sums
from optkit.quantization.rounding.reconstruct import better_integers, compare_layer, decide_layer, reconstruct
from optkit.quantization.variants.build import build
from optkit.quantization.variants.learned import Learned
from optkit.quantization.variants.treatment import Treatment, Way

from ..tiny import answers, draw, read, watcher

BODIES = {
    "conv": ("(float[N,4,6,6] x) => (float[N,A,B,C] z) { y = Conv<pads=[1,1,1,1]>(x, w, b) z = Relu(y) }", (5, 4, 3, 3), (40, 4, 6, 6)),
    "gemm": ("(float[N,8] x) => (float[N,5] z) { y = Gemm(x, w, b) z = Relu(y) }", (8, 5), (600, 8)),
    "product": ("(float[N,6,8] x) => (float[N,6,5] z) { y = MatMul(x, w) z = Add(y, b) }", (8, 5), (200, 6, 8)),
}


def pair(kind: str, way: Way) -> tuple[ir.Model, ir.Model, Array]:
    """A float model, the same quantized, and inputs."""
    body, shape, given = BODIES[kind]
    original = read(body, w=np.clip(draw(*shape, seed=3), -1, 1), b=draw(5, seed=4))
    x = np.maximum(draw(*given, seed=5) + 0.7, 0).astype(np.float32)
    grids = {"x": grid_for(0, float(x.max()))}
    for name, value in answers(original, {"x": x}).items():
        grids |= {name: grid_for(float(value.min()), float(value.max()))}
    grids["y"] = grid_for(-20, 20)
    node = original.graph[0]
    node.name = "layer"
    return original, build(original, Treatment("made", {"layer": way}, compress=False), Learned(grids)), x


def names(layer: IntegerLayer) -> tuple[str, str]:
    return (layer.output if layer.output == "y" else str(layer.biased), "y")


WAYS = [("conv", Way.STATIC), ("gemm", Way.STATIC), ("product", Way.STATIC_FLOAT_OUT), ("product", Way.DYNAMIC), ("gemm", Way.DYNAMIC)]


@pytest.mark.parametrize(("kind", "way"), WAYS)
def test_integers_move_by_one_at_most_and_leave_less_error(kind: str, way: Way) -> None:
    original, made, x = pair(kind, way)
    (layer,) = integer_layers(made)
    wrong = np.random.default_rng(1).random(layer.integers().shape) < 0.1
    spoilt = np.clip(layer.integers() + wrong, -63, 63).astype(np.int8)
    layer.weight.const_value = ir.tensor(spoilt, name=layer.weight.name)
    before = np.array(spoilt, dtype=int)
    seen = compare_layer(made, original, layer, names(layer), watcher(x=x))
    assert seen is not None
    assert decide_layer(layer, seen, weights=True)
    after = np.array(layer.integers(), dtype=int)
    assert 0 < np.abs(after - before).max() <= 1
    high, low = worst_pair_sums(layer.node, layer.integers())
    assert high.max() <= 32767
    assert low.min() >= -32768
    again = compare_layer(made, original, layer, names(layer), watcher(x=x))
    assert again is not None
    assert again.noise.sum() < seen.noise.sum()


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "way"), WAYS)
def test_biases_give_every_channel_its_mean(kind: str, way: Way) -> None:
    original, made, x = pair(kind, way)
    (layer,) = integer_layers(made)
    assert layer.bias is not None
    assert reconstruct(made, original, watcher(x=x), weights=False) == 1
    wanted, found = (answers(m, {"x": x})["z"] for m in (original, made))
    axes = (0, 2, 3) if wanted.ndim == 4 else tuple(range(wanted.ndim - 1))
    np.testing.assert_allclose(found.mean(axis=axes), wanted.mean(axis=axes), atol=0.02)
    again = compare_layer(made, original, layer, names(layer), watcher(x=x))
    assert again is not None
    if names(layer)[0] == layer.biased or kind != "product":  # else the bias is added behind what is compared
        assert np.abs(again.off).max() < 1e-3


def test_an_exact_layer_is_left_alone() -> None:
    original, made, x = pair("gemm", Way.STATIC)
    (layer,) = integer_layers(made)
    seen = compare_layer(made, original, layer, names(layer), watcher(x=x))
    assert seen is not None
    exact = type(seen)(seen.rows, seen.mean, seen.covariance, seen.off * 0, seen.against * 0, seen.noise * 0)
    np.testing.assert_array_equal(better_integers(layer, exact), as_rows(layer.node, layer.integers()))


def test_another_tensor_of_that_name_is_no_reference() -> None:
    _, made, x = pair("gemm", Way.STATIC)
    other = read(BODIES["gemm"][0], w=draw(8, 5, seed=77), b=draw(5, seed=78))
    (layer,) = integer_layers(made)
    assert compare_layer(made, other, layer, names(layer), watcher(x=x)) is None
    assert reconstruct(made, other, watcher(x=x), weights=True) == 0
