"""The cheapest set of nodes in integers, against trying every set."""

from itertools import combinations

import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optkit.quantization.choosing.cheapest_cut import Costs, cheapest_cut
from optkit.quantization.integer_graph.insert_static import activation_inputs
from optkit.quantization.operators import weight_of

from ..tiny import draw, read

STEPS = """(float[1,4,5,5] x) => (float[1,4,5,5] y) {
    a = Conv(x, w) b = Sigmoid(a) c = Mul(a, b) d = Conv(c, w) e = Add(c, d) f = Conv(e, w) g = Mul(f, e) y = Conv(g, w) }"""


@pytest.fixture(scope="module")
def nodes() -> list[ir.Node]:
    return list(read(STEPS, w=draw(4, 4, 1, 1)).graph)


def cost_of(inside: set[str], nodes: list[ir.Node], costs: Costs) -> float:
    """What the docstrings say, node by node and value by value; infinite where an elementwise node would read floats."""
    total = 0.0
    for node in nodes:
        name, makers = str(node.name), [v.producer() for v in activation_inputs(node)]
        total += costs.integers[name] if name in inside else costs.floats[name] or 0.0
        if name in inside and weight_of(node) is None and any(str(m.name) not in inside for m in makers if m is not None):
            return float("inf")
        last = next((str(m.name) for m in reversed(makers) if m is not None), None)
        if costs.floats[name] is None and last is not None and name not in inside and last in inside:
            return float("inf")  # a part of what computes the maker in float cannot be had without it
    for value in {v for n in nodes for v in (*activation_inputs(n), *n.outputs)}:
        maker = value.producer()
        made = maker is not None and str(maker.name) in inside
        read_by = [str(r.name) in inside for r in value.consumers()] + [False] * value.is_graph_output()
        seconds = costs.crossing[str(value.name)]
        total += seconds * (not made and any(read_by)) + seconds * (made and not all(read_by))
    return total


times = st.integers(0, 40).map(lambda n: n * 1e-6)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_other_set_is_cheaper(data: st.DataObject, nodes: list[ir.Node]) -> None:
    names = [str(n.name) for n in nodes]
    fused = {n for n in ("b", "c", "e", "g") if data.draw(st.booleans())}
    costs = Costs(
        integers={n: data.draw(times) for n in names},
        floats={n: None if n in fused else data.draw(times) for n in names},
        crossing={v: data.draw(times) for v in ("x", *names)},
        reading=frozenset(names),
        writing=frozenset(names),
    )
    kept, saved = cheapest_cut(nodes, costs)
    every = [set(some) for count in range(len(names) + 1) for some in combinations(names, count)]
    least = min(cost_of(some, nodes, costs) for some in every)
    assert cost_of(kept, nodes, costs) == pytest.approx(least, abs=1e-9)
    assert cost_of(set(names), nodes, costs) - saved == pytest.approx(least, abs=1e-9)


def test_nodes_that_convert_for_themselves_are_chosen_one_by_one(nodes: list[ir.Node]) -> None:
    names = [str(n.name) for n in nodes if weight_of(n) is not None]
    chosen = [n for n in nodes if str(n.name) in names]
    costs = Costs(dict.fromkeys(names, 2e-6), {"a": 1e-6, "d": 3e-6, "f": 1.9e-6, "y": 5e-6}, {}, frozenset(), frozenset())
    kept, saved = cheapest_cut(chosen, costs)
    assert kept == {"d", "y"}
    assert saved == pytest.approx(1.1e-6)


def test_a_layer_that_only_reads_integers_gives_floats(nodes: list[ir.Node]) -> None:
    """What writes floats all the same pays for what it reads, and nothing behind it."""
    first, second = (n for n in nodes if str(n.name) in ("d", "f"))
    crossing = {"c": 1e-6, "d": 1e-3, "e": 1e-3, "f": 1e-3}
    costs = Costs({"d": 1e-6}, {"d": 5e-6}, crossing, {"d"}, set())
    assert cheapest_cut([first], costs)[0] == {"d"}
    assert cheapest_cut([first], Costs({"d": 1e-6}, {"d": 5e-6}, crossing, {"d"}, {"d"}))[0] == set()
    assert second is not first


def test_nothing_to_choose_from() -> None:
    assert cheapest_cut([], Costs({}, {}, {}, set(), set())) == (set(), 0.0)
