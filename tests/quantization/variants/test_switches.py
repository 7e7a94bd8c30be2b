"""A layer that is switched on gives what a file with this layer alone in integers gives."""

from dataclasses import replace

import numpy as np
import pytest

from optkit.quantization.channels.divide import Division
from optkit.quantization.integer_graph.insert_static import tensors_to_observe
from optkit.quantization.operators import weighted_nodes
from optkit.quantization.variants.build import build
from optkit.quantization.variants.learned import Learned
from optkit.quantization.variants.switches import SWITCHES, Switched, with_switches
from optkit.quantization.variants.treatment import Treatment, Way
from optkit.runtimes.onnxruntime import open_onnx

from ..tiny import draw, grids_for, operators, read, saved

FEED = {"x": draw(2, 6, 8, 8, seed=9)}
MODEL = read(
    """(float[N,6,8,8] x) => (float[N,5] y) { c = Conv<pads=[1,1,1,1]>(x, w, b) r = Relu(c) d = Conv<group=8, pads=[1,1,1,1]>(r, v)
        a = GlobalAveragePool(d) f = Flatten(a) g = Gemm<transB=1>(f, u, h) y = MatMul(g, t) }""",
    w=draw(8, 6, 3, 3),
    b=draw(8, seed=1),
    v=draw(8, 1, 3, 3, seed=2),
    u=draw(40, 8, seed=3),
    h=draw(40, seed=4),
    t=draw(40, 5, seed=5),
)
LAYERS = weighted_nodes(MODEL)
SMOOTHING = {"f": Division(np.linspace(0.2, 5, 8)), "g": Division(np.linspace(3, 0.5, 40), apart=np.array([1, 7]))}
LEARNED = Learned(grids=grids_for(MODEL, tensors_to_observe(LAYERS), FEED), smoothing=SMOOTHING)
NAMES = [str(n.name) for n in LAYERS]
WAYS = {
    "static": Treatment("static", {**dict.fromkeys(NAMES[:3], Way.STATIC), NAMES[3]: Way.STATIC_FLOAT_OUT}),
    "dynamic": Treatment("dynamic", dict.fromkeys(NAMES[2:], Way.DYNAMIC)),
    "dynamic, smoothed": Treatment("dynamic, smoothed", dict.fromkeys(NAMES[2:], Way.DYNAMIC), smooth=True),
}


@pytest.mark.parametrize("how", WAYS)
def test_one_layer_on_is_one_layer_quantized(how: str) -> None:
    treatment = WAYS[how]
    switched = Switched(MODEL, treatment, LEARNED, 1)
    assert switched.layers == list(treatment.ways)
    plain = open_onnx(saved(MODEL)).run(FEED)["y"]
    np.testing.assert_allclose(switched.run(FEED)["y"], plain, rtol=1e-4, atol=1e-4)
    for name in switched.layers:
        alone = build(MODEL, replace(treatment.without(n for n in NAMES if n != name), compress=False), LEARNED)
        switched.on = name
        expected, found = open_onnx(saved(alone)).run(FEED)["y"] - plain, switched.run(FEED)["y"] - plain
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(found, expected, atol=0.05 * np.abs(expected).max())


def test_stored_weights_have_switches_where_nothing_computes_in_integers() -> None:
    model = read("(float[N,64] x) => (float[N,48] y) { m = MatMul(x, w) r = Relu(m) y = MatMul(r, v) }", w=draw(64, 40), v=draw(40, 48))
    feed = {"x": draw(3, 64, seed=1)}
    stored = Treatment("stored")
    switched = Switched(model, stored, Learned(), 1)
    plain = switched.run(feed)["y"]
    for name, other in (("m", "y"), ("y", "m")):
        switched.on = name
        alone = open_onnx(saved(build(model, replace(stored, whole=frozenset({other})), Learned()))).run(feed)["y"]
        assert np.abs(alone - plain).max() > 0
        np.testing.assert_allclose(switched.run(feed)["y"], alone, rtol=1e-4, atol=1e-4)


def test_the_input_is_one_more() -> None:
    made, layers = with_switches(MODEL, WAYS["static"], LEARNED)
    assert [str(v.name) for v in made.graph.inputs] == ["x", SWITCHES]
    assert operators(made)["If"] == len(layers) == 4
