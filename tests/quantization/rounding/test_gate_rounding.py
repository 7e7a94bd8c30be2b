"""Learned rounding of recurrent weights: closer than to the nearest, from the states as they were, within the integers' limits."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from optkit.arrays import Array
from optkit.datasets import Examples
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.graphs import all_graphs
from optkit.quantization.integer_graph.insert_recurrent import RoundedGates
from optkit.quantization.integer_graph.instruction_sets import EVERY_X86, safe_on
from optkit.quantization.rounding.gate_rounding import can_learn_gates, round_gates
from optkit.quantization.variants.build import build
from optkit.quantization.variants.learned import Learned
from optkit.quantization.variants.treatment import Treatment, Way

from ..tiny import answers, draw, operators, read

SIZE, UNITS, STEPS = 24, 32, 9
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def weights(kind: str, directions: int) -> dict[str, Array]:
    gates = GATES[kind] * UNITS
    return {
        "w": draw(directions, gates, SIZE, scale=0.1),
        "r": draw(directions, gates, UNITS, seed=1, scale=0.1),
        "b": draw(directions, 2 * gates, seed=2, scale=0.1),
    }


def inputs(count: int = 24, seed: int = 4) -> Array:
    """Of few things that vary, as features of neighbours do: [examples, steps, rows, size]."""
    return (
        draw(count, STEPS, 1, 5, seed=seed) @ draw(5, SIZE, seed=3) + draw(count, STEPS, 1, SIZE, seed=seed + 1, scale=0.1) + 0.3
    ).astype(np.float32)


def network(kind: str, direction: str = "forward", start: bool = False) -> ir.Model:
    directions = 2 if direction == "bidirectional" else 1
    more, state = (f", float[{directions},1,{UNITS}] h", ", , h") if start else ("", "")
    body = f'y = {kind}<hidden_size={UNITS}, direction="{direction}">(x, w, r, b{state})'
    return read(f"(float[T,1,{SIZE}] x{more}) => (float[T,{directions},1,{UNITS}] y) {{ {body} }}", **weights(kind, directions))


def learn(model: ir.Model, computes: bool = True, **more: Array) -> dict[str, RoundedGates]:
    nodes = [n for g in all_graphs(model) for n in g if can_learn_gates(n)]
    watcher = Watcher(Examples("examples of a test", {"x": inputs(), **more}, whole=True))
    return round_gates(model, nodes, watcher, rounds_inputs=computes, portable=True)


def noise(model: ir.Model, made: ir.Model, **more: Array) -> float:
    total = 0.0
    for row in inputs(8, seed=11):
        feed = {"x": row, **more}
        total += float(((answers(model, feed)["y"] - answers(made, feed)["y"]) ** 2).sum())
    return total


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("start", [False, True])
def test_integer_gates_come_closer_on_other_examples(direction: str, start: bool) -> None:
    model = network("LSTM", direction, start)
    directions = 2 if direction == "bidirectional" else 1
    given = {"h": draw(24, directions, 1, UNITS, seed=7)} if start else {}
    way = Treatment("dynamic", {"y": Way.DYNAMIC})
    found = learn(model, True, **given)
    plain, learned = build(model, way, Learned()), build(model, way, Learned(gates=found))
    assert operators(learned) == operators(plain)
    one = {"h": given["h"][0]} if start else {}
    assert noise(model, learned, **one) < 0.85 * noise(model, plain, **one)
    assert safe_on(learned)[0] == EVERY_X86


@pytest.mark.parametrize("kind", GATES)
def test_stored_gates_come_closer_on_other_examples(kind: str) -> None:
    model = network(kind)
    found = learn(model, computes=False)
    way = Treatment("stored")
    plain, learned = build(model, way, Learned()), build(model, way, Learned(gates=found))
    assert noise(model, learned) < 0.9 * noise(model, plain)
    held = [v.const_value.numpy() for v in learned.graph.initializers.values() if v.dtype == ir.DataType.INT8 and v.const_value]
    assert any(np.array_equal(found["y"].integers[1], h) for h in held)


def test_what_is_a_mean_goes_into_the_bias() -> None:
    model = network("LSTM")
    found = learn(model)["y"]
    assert found.bias is not None
    held = {name: np.asarray(v.const_value.numpy()) for name, v in model.graph.initializers.items() if v.const_value is not None}
    off = held["w"][0] - found.integers[0][0] * found.scales[0][0][:, None]
    means = inputs().reshape(-1, SIZE).mean(axis=0)
    np.testing.assert_allclose(found.bias[0, : 4 * UNITS] - held["b"][0, : 4 * UNITS], off @ means, atol=2e-4)


IN_A_BRANCH = """(float[T,1,24] x, bool t) => (float[1,1,32] y) {
    y = If (t) <then_branch = one () => (float[1,1,32] a) { none, a = LSTM<hidden_size=32>(x, w, r, b) },
                else_branch = two () => (float[1,1,32] d) { other, s = LSTM<hidden_size=32>(x, u, v, b) d = Neg(s) }> }"""


def test_what_no_example_reaches_is_left_out() -> None:
    held: dict[str, Any] = weights("LSTM", 1)
    model = read(IN_A_BRANCH, **held, u=held["w"] + 0, v=held["r"] + 0)
    for graph in all_graphs(model):
        for node in graph:
            if node.op_type == "LSTM":
                node.outputs[0].name = ""  # nothing asks for the states
    found = learn(model, t=np.ones((24, 1), bool)[:, 0])
    assert len(found) == 1
    assert next(iter(found.values())).integers[0].shape == (1, 4 * UNITS, SIZE)
    assert all(n.outputs[0].name == "" for g in all_graphs(model) for n in g if n.op_type == "LSTM")


def test_weights_that_are_shared_or_computed_are_not_learned() -> None:
    held = weights("LSTM", 1)
    twice = read(
        "(float[T,1,24] x) => (float[T,1,1,32] y, float[T,1,1,32] z)"
        " { y = LSTM<hidden_size=32>(x, w, r, b) z = LSTM<hidden_size=32>(x, w, r, b) }",
        **held,
    )
    assert not any(can_learn_gates(n) for n in twice.graph)
    computed = read(
        "(float[T,1,24] x, float[1,128,24] w) => (float[T,1,1,32] y) { y = LSTM<hidden_size=32>(x, w, r, b) }", **{k: held[k] for k in "rb"}
    )
    assert not any(can_learn_gates(n) for n in computed.graph)
