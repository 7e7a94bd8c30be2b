"""How the times of a profile's nodes become those of operators."""

import pytest

from optkit.inspection import NodeTime, OperatorTime, Profile
from optkit.inspection.fused import Fused
from optkit.inspection.spent import Spent, time_spent
from optkit.inspection.under_roof import Cost


def cost(tensor: str, macs: int, operator: str = "Conv") -> tuple[str, Cost]:
    return tensor, Cost(f"node of {tensor}", operator, macs, 0, 0, False)


def profile(*nodes: NodeTime, **kinds: float) -> Profile:
    rows = tuple(OperatorTime(operator, "CPU", 1, seconds, 0.5) for operator, seconds in kinds.items())
    return Profile("cpu", 1, 5, "made-up inputs", 1.0, rows, 0.0, nodes)


def spent(costs: list[tuple[str, Cost]], of: Profile, *nodes: Fused) -> dict[str, Spent]:
    return dict(zip((tensor for tensor, _ in costs), time_spent(costs, of, nodes, peak=1.0, bandwidth=1.0), strict=True))


def test_what_a_node_computes_alone_takes_its_time_whatever_it_is_called() -> None:
    of = profile(NodeTime("r_nchwc", "Conv", 3e-4), NodeTime("b", "Conv", 1e-4), Conv=4e-4)
    found = spent([cost("a", 10), cost("b", 1000)], of, Fused("r_nchwc", "Conv", ("a",)), Fused("b", "Conv", ("b",)))
    assert found == {"a": Spent(3e-4, "r_nchwc", False), "b": Spent(1e-4, "b", False)}


def test_what_one_node_computes_of_several_is_shared_among_them_alone() -> None:
    of = profile(NodeTime("attention", "Attention", 4e-4), NodeTime("m", "MatMul", 1e-4), Attention=4e-4, MatMul=1e-4)
    costs = [cost("q", 1, "MatMul"), cost("k", 3, "MatMul"), cost("m", 99, "MatMul")]
    found = spent(costs, of, Fused("attention", "Attention", ("q", "k")), Fused("m", "MatMul", ("m",)))
    assert [each.seconds for each in found.values()] == pytest.approx([1e-4, 3e-4, 1e-4])
    assert [(each.run_as, each.estimated) for each in found.values()] == [("attention", True), ("attention", True), ("m", False)]


def test_time_that_no_node_is_known_for_is_estimated_and_none_is_lost() -> None:
    of = profile(NodeTime("one", "Conv", 2e-4), FusedConv=2e-4, Conv=2e-4, FusedGemm=1e-4)
    costs = [cost("a", 10), cost("b", 1), cost("c", 3), cost("d", 5, "MatMul")]
    found = spent(costs, of, Fused("one", "Conv", ("a",)))
    assert found["a"] == Spent(2e-4, "one", False)
    assert [each.seconds for each in found.values()] == pytest.approx([2e-4, 5e-5, 1.5e-4, 1e-4])
    assert {(each.run_as, each.estimated) for tensor, each in found.items() if tensor != "a"} == {(None, True)}


def test_what_did_not_run_is_not_said_to_have_been_measured() -> None:
    found = spent([cost("a", 10)], profile(NodeTime("other", "Conv", 1e-4), Conv=1e-4), Fused("branch", "Conv", ("a",)))
    assert found == {"a": Spent(1e-4, None, True)}


def test_operators_of_a_function_that_is_called_twice_share_what_is_left() -> None:
    both = time_spent([cost("inner", 10), cost("inner", 10)], profile(Conv=4e-4), (), 1.0, 1.0)
    assert both == [Spent(2e-4, None, True)] * 2
