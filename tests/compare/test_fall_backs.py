from dataclasses import replace
from pathlib import Path

import pytest

from optkit.artifact import Artifact
from optkit.compare import compare, compare_all
from optkit.errors import UsageError
from optkit.gate import Limits, judge
from optkit.measure import Machine, Measurement
from optkit.reports._words import sentence

MACHINE = Machine("Linux", "a CPU", 2, (), {})


def on(name: str, left: int, device: str = "cuda", batch: int = 1) -> Measurement:
    nodes = {"CUDAExecutionProvider": 9, "CPUExecutionProvider": left}
    return Measurement(Artifact(Path(name), "onnx", name), name, device, batch, 1, MACHINE, (), nodes)


@pytest.mark.parametrize(
    ("before", "after", "says", "words"), [(0, 0, "same", "the same"), (0, 3, "worse", "more"), (4, 1, "better", "fewer")]
)
def test_more_nodes_on_the_cpu_are_worse_also_than_none(before: int, after: int, says: str, words: str) -> None:
    (delta,) = compare(on("a", before), on("b", after)).deltas
    assert (delta.metric, delta.before, delta.after, delta.verdict, delta.n) == ("fall_back_nodes", before, after, says, 1)
    assert sentence(delta) == words


@pytest.mark.parametrize("device", ["cpu", "CPU", "CPUExecutionProvider"])
def test_nothing_falls_back_to_where_it_was_asked_to_be(device: str) -> None:
    assert compare(on("a", 9, device), on("b", 9, device)).deltas == ()


def test_it_is_told_and_judged_once_on_each_device() -> None:
    measured = [on(name, left, device, batch) for device in ("cuda", "openvino") for batch in (1, 8) for name, left in (("a", 0), ("b", 2))]
    found = compare_all(measured)
    assert [(delta.device, delta.batch) for delta in found[0].deltas] == [("cuda", 1), ("openvino", 1)]
    assert [check.outcome for check in judge(found, Limits(max_fallback_nodes=1)).checks] == ["failed", "failed"]


@pytest.mark.parametrize(("allowed", "outcome"), [(0, "failed"), (1, "failed"), (2, "passed")])
def test_the_limit_is_a_number_of_nodes(allowed: int, outcome: str) -> None:
    found = compare_all([on("a", 5), on("b", 2)])
    verdict = judge(found, Limits(max_fallback_nodes=allowed))
    assert verdict.outcome == outcome
    assert verdict.checks[0].limit == f"--max-fallback-nodes {allowed}"
    assert ("too many" in verdict.checks[0].reason) == (outcome == "failed")


def test_the_cpu_beside_another_device_is_not_judged() -> None:
    found = compare_all([on("a", 9, "cpu"), on("b", 9, "cpu"), on("a", 0), on("b", 0)])
    (check,) = judge(found, Limits(max_fallback_nodes=0)).checks
    assert (check.outcome, check.delta.device) == ("passed", "cuda")


def test_the_cpu_alone_is_never_passed() -> None:
    with pytest.raises(UsageError, match="no device but the CPU was measured"):
        judge(compare_all([on("a", 9, "cpu"), on("b", 9, "cpu")]), Limits(max_fallback_nodes=0))


def test_nodes_that_nobody_counted_are_not_judged() -> None:
    uncounted = [replace(on(name, 0), nodes={}) for name in "ab"]
    with pytest.raises(UsageError):
        judge(compare_all(uncounted), Limits(max_fallback_nodes=0))
