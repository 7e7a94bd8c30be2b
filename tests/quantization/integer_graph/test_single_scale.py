"""One scale for all of a weight: portable where it has to be, and as close as one scale can be."""

from dataclasses import replace

import numpy as np
import pytest

from optkit.quantization.affine import quantize_weight
from optkit.quantization.choosing.small_products import SMALL, with_single_scales
from optkit.quantization.graphs import constant_array
from optkit.quantization.integer_graph.saturation import LARGEST_PAIR
from optkit.quantization.integer_graph.single_scale import with_one_scale
from optkit.quantization.rounding.learned_rounding import Rounded
from optkit.quantization.variants.build import build
from optkit.quantization.variants.learned import Learned
from optkit.quantization.variants.treatment import Treatment, Way

from ..tiny import answers, draw, operators, read, saved

PRODUCTS = "(float[N,48] x) => (float[N,24] y) { a = MatMul(x, w) b = Relu(a) c = Gemm<transB=1>(b, v, d) e = Relu(c) y = MatMul(e, u) }"
WEIGHTS = {"w": draw(48, 64), "v": draw(32, 64, seed=1), "d": draw(32, seed=2), "u": draw(32, 24, seed=3)}
DYNAMIC = Treatment("dynamic", dict.fromkeys(("a", "c", "y"), Way.DYNAMIC), compress=False)
OUTPUTS = {name: name for name in ("a", "c", "y")}


@pytest.mark.parametrize("rows", [2, 3, 48])
@pytest.mark.parametrize("seed", range(4))
def test_a_portable_weight_keeps_its_pairs_small_at_little_cost(rows: int, seed: int) -> None:
    model = read("(float[N,K] x) => (float[N,64] y) { y = MatMul(x, w) }", w=draw(rows, 64, seed=seed))
    weight = draw(rows, 64, seed=seed)
    free, scale = with_one_scale(model.graph[0], weight, portable=False)
    assert np.abs(free * scale - weight).max() <= scale / 2 * (1 + 1e-5)
    integers, wide = with_one_scale(model.graph[0], weight, portable=True)
    assert wide.shape == ()
    assert wide.dtype == np.float32
    pairs = integers[0 : rows - rows % 2 : 2].astype(int) + integers[1::2]
    assert np.abs(pairs).max() <= LARGEST_PAIR
    assert np.square(integers * wide - weight).sum() <= 4.5 * max(np.square(free * scale - weight).sum(), weight.size * scale**2 / 12)


def test_products_answer_as_the_weights_they_stand_for() -> None:
    model, feed = read(PRODUCTS, **WEIGHTS), {"x": draw(9, 48, seed=5)}
    made = build(model, replace(DYNAMIC, single=frozenset(("a", "c"))), Learned())
    exact, found = answers(model, feed)["y"], answers(made, feed)["y"]
    assert ((found - exact) ** 2).sum() < 1e-3 * (exact**2).sum()
    scales = [constant_array(n.inputs[1]) for n in made.graph if n.op_type == "Mul" and str(n.name).endswith("scales_Mul")]
    assert sorted(each.shape for each in scales if each is not None) == [(), (), (24,)]
    assert operators(made)["MatMulInteger"] == 3


def test_it_is_for_small_products_that_take_much_of_the_time() -> None:
    times = {"a_int32_MatMulInteger": SMALL / 2, "c_int32_MatMulInteger_quant": 2 * SMALL, "y_int32_MatMulInteger": SMALL / 3, "b": 1e-6}
    found = with_single_scales(DYNAMIC, times, OUTPUTS)
    assert found is not None
    assert found.single == {"a", "y"}
    assert found.ways == DYNAMIC.ways
    assert with_single_scales(DYNAMIC, {**times, "elsewhere": 40 * SMALL}, OUTPUTS) is None
    assert with_single_scales(DYNAMIC, {}, OUTPUTS) is None
    assert with_single_scales(Treatment("static", {"a": Way.STATIC}), times, OUTPUTS) is None


def test_learned_rounding_of_each_output_does_not_take_the_one_scale_away() -> None:
    model = read(PRODUCTS, **WEIGHTS)
    learned = Learned(rounded={"a": Rounded(*quantize_weight(WEIGHTS["w"], 1))})
    one = replace(DYNAMIC, single=frozenset(("a",)))
    assert saved(build(model, one, learned)) == saved(build(model, one, Learned()))
    assert saved(build(model, DYNAMIC, learned)) != saved(build(model, one, learned))
