"""Settled biases: channels have the float model's means again, layer after layer, and chance moves nothing."""

import numpy as np
import onnx_ir as ir
import pytest

from optkit.arrays import Array
from optkit.quantization.integer_graph.integer_layers import integer_layers
from optkit.quantization.rounding.biased_layers import biased_layers
from optkit.quantization.rounding.reconstruct import same_tensor, shift_bias
from optkit.quantization.rounding.settle_biases import believed_shift, settle_biases, side_by_side, typical_difference
from optkit.quantization.variants.build import build
from optkit.quantization.variants.learned import Learned
from optkit.quantization.variants.treatment import Treatment, Way

from ..tiny import answers, draw, grids_for, read, watcher

BODY = (
    "(float[N,4,6,6] x) => (float[N,4,6,6] y) { a = Conv<pads=[1,1,1,1]>(x, w, b) r = Relu(a) c = Conv<pads=[1,1,1,1]>(r, v, d)"
    " e = Conv(r, u, d) y = Add(c, e) }"
)
ROWS = np.maximum(draw(24, 4, 6, 6, seed=5) + 0.5, 0).astype(np.float32)


def pair() -> tuple[ir.Model, ir.Model]:
    """A float model, and the same quantized, with biases that are off."""
    held = {"w": draw(4, 4, 3, 3), "b": draw(4, seed=1), "v": draw(4, 4, 3, 3, seed=2), "u": draw(4, 4, 1, 1, seed=3), "d": draw(4, seed=4)}
    original = read(BODY, **held)
    grids = grids_for(original, ["x", "r", "c", "e", "y"], {"x": ROWS})
    made = build(original, Treatment("static", dict.fromkeys(["a", "c", "e", "y"], Way.STATIC)), Learned(grids))
    for layer in integer_layers(made):
        shift_bias(layer, np.full(4, 0.4))
    return original, made


def mean_error(original: ir.Model, made: ir.Model) -> Array:
    off = answers(made, {"x": ROWS})["y"] - answers(original, {"x": ROWS})["y"]
    return np.asarray(np.abs(off.mean(axis=(0, 2, 3))))


def test_channels_have_the_mean_of_the_float_model_again() -> None:
    original, made = pair()
    assert mean_error(original, made).max() > 0.3
    assert settle_biases(made, original, watcher(x=ROWS)) == 3
    assert mean_error(original, made).max() < 0.03


def test_what_has_no_biases_or_is_not_in_the_float_model_stays() -> None:
    original, made = pair()
    other = read("(float[N,4,6,6] x) => (float[N,4,6,6] z) { z = Relu(x) }")
    assert settle_biases(made, other, watcher(x=ROWS)) == 0
    assert settle_biases(original.clone(), original, watcher(x=ROWS)) == 0


def test_only_layers_that_do_not_lead_to_each_other_are_settled_at_once() -> None:
    _, made = pair()
    layers = biased_layers(made)
    known = {"a", "r", "c", "e", "y"}
    named = [[names[1] for names in (same_tensor(layer, known) for layer in group) if names] for group in side_by_side(layers)]
    assert named == [["a"], ["c", "e"]]


@pytest.mark.parametrize(("mean", "kept"), [(0.0, (-0.1, 0.1)), (3.0, (2.6, 3.4))])
def test_what_may_be_chance_is_not_believed(mean: float, kept: tuple[float, float]) -> None:
    found = believed_shift(draw(64, 200, seed=8) + mean)
    assert kept[0] < found.mean() < kept[1]
    assert (np.abs(found) <= np.abs(typical_difference(draw(64, 200, seed=8) + mean)[0]) + 1e-12).all()
    assert mean or (found == 0).mean() > 0.5


def test_one_example_alone_is_no_chance_and_zero_stays_zero() -> None:
    np.testing.assert_array_equal(believed_shift(np.array([[0.0, 2.0]])), [0.0, 2.0])


def test_a_few_examples_that_are_far_off_do_not_decide() -> None:
    every = draw(40, 6, seed=9) * 0.1 + 1
    every[:4] += 100
    found, weights = typical_difference(every)
    assert np.abs(found - every[4:].mean(axis=0)).max() < 0.05
    assert weights.sum() == pytest.approx(1)
    assert weights[:4].max() < weights[4:].min() / 100


def test_of_examples_alike_all_count_alike() -> None:
    found, weights = typical_difference(np.tile([1.0, -2.0], (5, 1)))
    np.testing.assert_allclose(found, [1, -2])
    np.testing.assert_allclose(weights, 0.2)
