from pathlib import Path
from typing import Any

import onnx
import pytest

from optkit.datasets import Examples
from optkit.errors import ModelError
from optkit.inspection.profile import made_up_examples, profile_model, read_profile
from optkit.runtimes import Port
from optkit.runtimes.onnxruntime import OnnxSession

from .tiny_models import floats, parse


def run(start: int, length: int) -> dict[str, Any]:
    return {"cat": "Session", "name": "model_run", "ts": start, "dur": length, "tid": 1}


def kernel(op: str, start: int, length: int, provider: str = "CPUExecutionProvider", tid: int = 1) -> dict[str, Any]:
    return {
        "cat": "Node",
        "name": f"{op}_kernel_time",
        "ts": start,
        "dur": length,
        "tid": tid,
        "args": {"op_name": op, "provider": provider},
    }


WARM_UP = [run(0, 900), kernel("Conv", 0, 800), run(1000, 900), kernel("Conv", 1000, 800)]


def test_time_by_operator_is_the_median_over_runs_without_the_first() -> None:
    runs = [(2000, 40), (3000, 50), (4000, 90)]
    events = [*WARM_UP]
    for start, length in runs:
        events += [
            run(start, 100),
            kernel("Conv", start + 5, length // 2),
            kernel("Conv", start + 50, length // 2),
            kernel("Relu", start + 96, 2),
        ]
    found = read_profile(events, "cpu", 2, "d.npz")
    conv, relu = found.operators
    assert (conv.operator, conv.provider, conv.calls) == ("Conv", "CPU", 2)
    assert (conv.seconds, relu.seconds) == pytest.approx((50e-6, 2e-6))
    assert conv.share == pytest.approx(50 / 52)
    assert found.runs == 3
    assert (found.seconds, found.between) == pytest.approx((100e-6, 48e-6))


def test_what_is_nested_is_not_counted_twice() -> None:
    events = [*WARM_UP, run(2000, 100), kernel("If", 2000, 100), kernel("If", 2010, 80), kernel("Conv", 2020, 60), kernel("Add", 2081, 5)]
    found = {row.operator: round(row.seconds * 1e6) for row in read_profile(events, "cpu", 1, "d").operators}
    assert found == {"Conv": 60, "If": 20 + 15, "Add": 5}


def test_kernels_side_by_side_on_two_threads_are_not_nested() -> None:
    events = [*WARM_UP, run(2000, 100), kernel("Conv", 2000, 90, tid=1), kernel("Relu", 2010, 50, tid=2)]
    assert {row.operator: round(row.seconds * 1e6) for row in read_profile(events, "cpu", 1, "d").operators} == {"Conv": 90, "Relu": 50}


def test_what_a_provider_compiled_has_a_readable_name() -> None:
    events = [*WARM_UP, run(2000, 100), kernel("OpenVINOExecutionProvider_12995491_0", 2000, 90, "OpenVINOExecutionProvider")]
    assert read_profile(events, "openvino", 1, "d").operators[0].operator == "OpenVINO subgraph"


def test_an_empty_record_is_no_crash() -> None:
    found = read_profile([], "cpu", 1, "d")
    assert (found.runs, found.seconds, found.operators) == (0, 0.0, ())


@pytest.fixture
def model(tmp_path: Path) -> Path:
    text = '<ir_version: 8, opset_import: ["": 17]> g (float[n, 64] x) => (float[n, 64] y) { h = MatMul (x, w)  y = Erf (h) }'
    onnx.save(parse(text, {"w": floats(64, 64)}), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def test_a_real_run(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optkit.inspection.profile.ENOUGH_SECONDS", 0.0)
    found = profile_model(model, Examples("mine.npz", {"x": floats(3, 64)}))
    assert {row.operator: row.calls for row in found.operators} == {"MatMul": 1, "Erf": 1}
    assert (found.data, found.device, found.runs) == ("mine.npz", "cpu", 5)
    assert sum(row.share for row in found.operators) == pytest.approx(1)
    assert 0 < sum(row.seconds for row in found.operators) <= found.seconds * 1.5
    assert not list(model.parent.glob("*.json"))


def test_inputs_are_made_up_in_the_sizes_that_were_counted_with(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optkit.inspection.profile.ENOUGH_SECONDS", 0.0)
    examples = made_up_examples([Port("x", "float32", ("n", 64))], {"x": (7, 64)})
    assert next(examples.feeds(1))["x"].shape == (7, 64)
    assert profile_model(model, examples).data == "made-up inputs"


def test_a_model_that_fails_while_running_says_so(model: Path) -> None:
    with pytest.raises(ModelError):
        profile_model(model.parent / "absent.onnx", Examples("d", {"x": floats(3, 64)}))


@pytest.mark.parametrize(("calls", "runs"), [(2 * 2 + 1, 0), (2 * 5 + 1, 4)])
def test_an_interrupt_keeps_the_runs_by_then(calls: int, runs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(parse('<ir_version: 8, opset_import: ["": 17]> g (float[n, 4] x) => (float[n, 4] y) { y = Relu (x) }'), path)
    run_one, left = OnnxSession.run, [calls]

    def run(self: OnnxSession, feed: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return run_one(self, feed)

    monkeypatch.setattr(OnnxSession, "run", run)
    told: list[str] = []
    examples = made_up_examples([Port("x", "float32", ("n", 4))], {"x": (1, 4)})
    if not runs:
        with pytest.raises(KeyboardInterrupt):
            profile_model(path, examples, interrupted=lambda: told.append("stopped"))
        return
    found = profile_model(path, examples, interrupted=lambda: told.append("stopped"))
    assert (found.runs, [row.operator for row in found.operators], told) == (runs, ["Relu"], ["stopped"])
