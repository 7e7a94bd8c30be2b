"""LSTMs in integers: close to float, in branches too, with state and lengths, and the same on every CPU."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from optkit.arrays import Array
from optkit.quantization.graphs import all_graphs
from optkit.quantization.integer_graph.insert_recurrent import can_be_recurrent
from optkit.quantization.integer_graph.instruction_sets import EVERY_X86, ONLY_VNNI, safe_on
from optkit.quantization.variants.build import build
from optkit.quantization.variants.candidates import candidates
from optkit.quantization.variants.learned import Learned
from optkit.quantization.variants.treatment import Treatment, Way, count_ways

from ..tiny import answers, draw, operators, read

SIZE, UNITS, STEPS = 12, 16, 7


def lstm(directions: int = 1, gates: int = 4) -> dict[str, Array]:
    return {
        "w": draw(directions, gates * UNITS, SIZE, scale=0.4),
        "r": draw(directions, gates * UNITS, UNITS, seed=1, scale=0.4),
        "b": draw(directions, 2 * gates * UNITS, seed=2, scale=0.1),
    }


def quantized(model: ir.Model, portable: bool = True) -> ir.Model:
    names = [str(n.name) for g in all_graphs(model) for n in g if can_be_recurrent(n)]
    assert names
    return build(model, Treatment("dynamic", dict.fromkeys(names, Way.DYNAMIC), portable=portable), Learned())


def sqnr(truth: Array, got: Array) -> float:
    assert truth.shape == got.shape
    return float(10 * np.log10((truth**2).sum() / ((truth - got) ** 2).sum()))


X = draw(STEPS, 1, SIZE, seed=5)
PLAIN = "(float[T,1,12] x) => (float[T,1,1,16] y) { y = LSTM<hidden_size=16>(x, w, r, b) }"
BOTH_WAYS = (
    '(float[T,1,12] x) => (float[T,2,1,16] y, float[2,1,16] h) { y, h = LSTM<hidden_size=16, direction="bidirectional">(x, w, r, b) }'
)
ONLY_STATE = """(float[T,1,12] x, float[1,1,16] h, float[1,1,16] c) => (float[1,1,16] hn, float[1,1,16] cn) {
    n = Neg(x) , hn, cn = LSTM<hidden_size=16>(n, w, r, b, , h, c) }"""
IN_A_BRANCH = """(float[T,1,12] x, bool t) => (float[T,1,1,16] y) {
    y = If (t) <then_branch = one () => (float[T,1,1,16] a) { a = LSTM<hidden_size=16>(x, w, r, b) },
                else_branch = two () => (float[T,1,1,16] d) { s = LSTM<hidden_size=16>(x, w, r, b) d = Neg(s) }> }"""


@pytest.mark.parametrize(
    ("graph", "directions", "more"),
    [
        (PLAIN, 1, {}),
        (BOTH_WAYS, 2, {}),
        (ONLY_STATE.replace(" , hn", " none, hn"), 1, {"h": draw(1, 1, 16, seed=8), "c": draw(1, 1, 16, seed=9)}),
        (IN_A_BRANCH, 1, {"t": np.array(True)}),
        (IN_A_BRANCH, 1, {"t": np.array(False)}),
    ],
)
def test_it_stays_close_to_float(graph: str, directions: int, more: dict[str, Array]) -> None:
    model = read(graph, **lstm(directions))
    made = quantized(model)
    counts = operators(made)
    assert counts["LSTM"] == 0
    assert counts["DynamicQuantizeLSTM"] == operators(model)["LSTM"]
    exact, found = (answers(m, {"x": X, **more}) for m in (model, made))
    assert list(exact) == list(found)
    assert all(sqnr(exact[name], found[name]) > 25 for name in exact)
    assert [v.name for v in made.graph.outputs] == [v.name for v in model.graph.outputs]
    assert sum(t.nbytes for t in _weights(made)) < 0.5 * sum(t.nbytes for t in _weights(model))


def _weights(model: ir.Model) -> list[Any]:
    return [v.const_value for g in all_graphs(model) for v in g.initializers.values()]


def test_portable_weights_are_safe_without_vnni() -> None:
    model = read(PLAIN, **{**lstm(), "w": np.abs(draw(1, 64, SIZE)) + 1, "r": np.abs(draw(1, 64, UNITS)) + 1})
    assert safe_on(quantized(model))[0] == EVERY_X86
    assert safe_on(quantized(model, portable=False))[0] == ONLY_VNNI


@pytest.mark.parametrize(
    "graph",
    [
        "(float[T,1,12] x) => (float[T,1,1,16] y) { y = GRU<hidden_size=16>(x, w, r, b) }",
        "(float[1,T,12] x) => (float[1,T,1,16] y) { y = LSTM<hidden_size=16, layout=1>(x, w, r, b) }",
        "(float[T,1,12] x, float[1,64,12] u) => (float[T,1,1,16] y) { y = LSTM<hidden_size=16>(x, u, r, b) }",
    ],
)
def test_what_the_kernel_does_not_know_stays_float_and_is_counted(graph: str) -> None:
    model = read(graph, **lstm(gates=3 if "GRU" in graph else 4))
    assert [t.name for t in candidates(model, "auto", True)] == ["8-bit weights, float compute"]
    kind = "GRU" if "GRU" in graph else "LSTM"
    assert count_ways(model, candidates(model, "auto", True)[0]) == {kind: {"float": 1}}


def test_candidates_include_it() -> None:
    model = read(PLAIN, **lstm())
    assert [t.name for t in candidates(model, "auto", True)] == ["dynamic", "8-bit weights, float compute"]
    assert [t.name for t in candidates(model, "auto", True, ("LSTM",))] == ["8-bit weights, float compute"]
    assert candidates(model, "dynamic", False)[0].ways == {"y": Way.DYNAMIC}
