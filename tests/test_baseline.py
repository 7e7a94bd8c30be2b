"""A model against the one in a stored report."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optkit.artifact import Artifact
from optkit.baseline import against, stored_metrics
from optkit.compare import Delta, compare_all
from optkit.compare.stored import machines_differ
from optkit.errors import UsageError
from optkit.gate import Limits
from optkit.measure import Machine, Measurement
from optkit.report import SCHEMA, DataUsed, Report
from optkit.samples import Samples

HERE = Machine("Linux 6.1.2 x86_64", "a CPU", 2, ("avx2",), {"onnxruntime": "1.0"})
ELSEWHERE = replace(HERE, processor="another CPU")
DATA = DataUsed("e.npz", "abc", 400)


def measured(name: str, seed: int, ms: float, size: float, right: float, digest: str = "", **changes: Any) -> Measurement:
    rng = np.random.default_rng(seed)
    times = ms * 1e-3 * np.exp(rng.normal(0, 0.03, (30, 10)))
    rounds = tuple(np.repeat(np.arange(30), 10).tolist())
    samples = (
        Samples("top1", "ratio", "higher", tuple((np.arange(400) < 400 * right).astype(float).tolist()), "example"),
        Samples("agreement", "ratio", "higher", (1.0,) * 400, "example"),
        Samples("latency", "s", "lower", tuple(times.ravel().tolist()), "round", "median", groups=rounds),
        Samples("memory", "bytes", "lower", (1e6,) * 6, "round", "median"),
        Samples("size", "bytes", "lower", (size,), "none", "median"),
    )
    made = Measurement(Artifact(Path(name), "onnx", digest or f"{name}{seed}"), name, "cpu", 1, 1, HERE, samples, {})
    return replace(made, **changes)


def report(*measurements: Measurement, data: DataUsed | None = DATA) -> Report:
    return Report(
        SCHEMA, "a report", "2026-01-02T03:04:05+00:00", measurements, compare_all(measurements), None, ("400 examples",), data=data
    )


def rows(found: Report) -> dict[str, Delta]:
    return {delta.metric: delta for delta in found.comparisons[0].deltas}


ORIGINAL_THEN, ORIGINAL_NOW = (measured("model.onnx", seed, ms, 4e6, 0.9, "original") for seed, ms in ((1, 2.0), (2, 2.6)))
STORED = report(ORIGINAL_THEN, measured("model.int8.onnx", 3, 1.0, 1e6, 0.89))


def test_the_state_of_the_machine_cancels_out_where_the_original_is_there_too() -> None:
    """Today everything takes 1.3 times as long: the model is as fast as it was."""
    now = report(ORIGINAL_NOW, measured("model.int8.onnx", 4, 1.3, 1e6, 0.89))
    found = against(now, STORED, Limits(max_drop=0.05, min_speedup=0.95, max_size=1.0))
    assert found.verdict is not None
    assert found.verdict.outcome == "passed"
    latency = rows(found)["latency_median"]
    assert latency.gain == pytest.approx(0, abs=0.01)
    assert latency.method.startswith("ratios to the same original")
    assert latency.gain == pytest.approx(1 - latency.after / latency.before)
    assert rows(found)["size"].verdict == rows(found)["top1"].verdict == "same"
    assert "agreement" not in rows(found)
    assert found.comparisons[0].before == "model.int8.onnx (baseline)"
    assert "baseline of 2026-01-02" in found.notes[1]


def test_a_slower_model_is_found_by_the_ratios() -> None:
    now = report(ORIGINAL_NOW, measured("model.int8.onnx", 4, 1.5, 1e6, 0.89))
    found = against(now, STORED, Limits(min_speedup=0.95))
    assert found.verdict is not None
    assert found.verdict.outcome == "failed"
    assert rows(found)["latency_median"].gain == pytest.approx(1 - 1.5 / 1.3, abs=0.02)


def test_alone_the_times_of_two_runs_are_compared_with_room_and_a_warning() -> None:
    now = report(measured("model.int8.onnx", 4, 1.04, 1.2e6, 0.80))
    found = against(now, STORED, Limits(max_drop=0.01, min_speedup=1.0, max_size=1.1))
    assert found.verdict is not None
    assert [(check.delta.metric, check.outcome) for check in found.verdict.checks] == [
        ("top1", "failed"),
        ("latency_median", "undecided"),
        ("size", "failed"),
    ]
    assert found.verdict.checks[1].more_needed is None
    assert rows(found)["latency_median"].verdict == "undecided"
    assert "different runs" in found.comparisons[0].warnings[0].what
    assert "optkit gate BEFORE AFTER --baseline" in found.comparisons[0].warnings[0].hint
    assert {"latency_median", "size"} <= set(rows(found))
    assert not {"latency_p90", "latency_p99", "cpu_time", "load_time", "first_inference"} & set(rows(found)), "those are of the hour"


def test_speeds_are_not_compared_across_machines_sizes_and_accuracy_are() -> None:
    now = report(measured("model.int8.onnx", 4, 9.0, 1e6, 0.89, machine=ELSEWHERE))
    found = against(now, STORED, Limits(max_drop=0.05, min_speedup=0.9, max_size=1.0))
    assert set(rows(found)) == {"top1", "size"}
    assert found.verdict is not None
    assert [check.outcome for check in found.verdict.checks] == ["passed", "undecided", "passed"]
    assert found.verdict.checks[1].reason == "not compared: it was measured on another machine (a CPU then, another CPU now)"
    strict = against(now, STORED, Limits(min_speedup=0.9, strict=True)).verdict
    assert strict is not None
    assert strict.outcome == "failed"


@pytest.mark.parametrize("data", [None, replace(DATA, digest="other")])
def test_scores_of_other_examples_are_not_compared(data: DataUsed | None) -> None:
    found = against(report(measured("model.int8.onnx", 4, 1.0, 1e6, 0.5), data=data), STORED, Limits(max_drop=0.01))
    assert "top1" not in rows(found)
    assert found.verdict is not None
    assert found.verdict.checks[0].reason == "not compared: the stored report rests on other examples"


@pytest.mark.slow
def test_the_model_of_the_same_name_is_taken_else_the_last() -> None:
    several = report(ORIGINAL_THEN, measured("a.onnx", 3, 1.0, 1e6, 0.89), measured("b.onnx", 3, 1.0, 2e6, 0.89))
    assert rows(against(report(measured("a.onnx", 4, 1, 1e6, 0.9)), several, None))["size"].before == 1e6
    assert rows(against(report(measured("new.onnx", 4, 1, 1e6, 0.9)), several, None))["size"].before == 2e6
    original = against(report(ORIGINAL_NOW), several, None)
    assert original.comparisons[0].before == "model.onnx (baseline)"


def test_places_that_the_stored_report_does_not_have() -> None:
    now = report(measured("model.int8.onnx", 4, 1.0, 1e6, 0.89, batch=8))
    found = against(now, STORED, Limits(min_speedup=0.9, max_size=1))
    assert set(rows(found)) == {"size"}
    assert found.verdict is not None
    assert found.verdict.checks[0].reason == "not compared: the stored report has no times on this device at this batch size"
    threads = report(measured("model.int8.onnx", 4, 1.0, 1e6, 0.89, threads=4))
    assert "number of threads" in against(threads, STORED, None).comparisons[0].warnings[0].what


def test_other_versions_are_told_of() -> None:
    newer = replace(HERE, versions={"onnxruntime": "2.0"}, system="Linux 6.9 x86_64")
    found = against(report(measured("model.int8.onnx", 4, 1.0, 1e6, 0.89, machine=newer)), STORED, None)
    assert "latency_median" in rows(found)
    assert any("onnxruntime 1.0 then, 2.0 now" in each.what for each in found.comparisons[0].warnings)


def test_what_tells_machines_apart() -> None:
    assert machines_differ(HERE, replace(HERE, versions={}, system="Linux 7.0 x86_64")) == ""
    assert machines_differ(HERE, replace(HERE, cores=4)) == "2 cores then, 4 now"
    assert "avx512_vnni" in machines_differ(HERE, replace(HERE, features=("avx2", "avx512_vnni")))
    assert machines_differ(HERE, replace(HERE, system="Darwin 23 arm64")) == "Linux x86_64 then, Darwin arm64 now"
    gpu = replace(HERE, gpus=("NVIDIA T4",))
    assert machines_differ(gpu, replace(HERE, gpus=("NVIDIA L4",)), "cuda") == "NVIDIA T4 then, NVIDIA L4 now"
    assert machines_differ(HERE, gpu, "cuda") == "no GPU then, NVIDIA T4 now"
    assert machines_differ(HERE, gpu) == "", "what runs on the CPU runs alike"


def test_what_was_scored_then_is_scored_now() -> None:
    assert stored_metrics(STORED) == ("top1",)


def test_what_cannot_be_compared_is_refused() -> None:
    models = [measured(f"{name}.onnx", 3, 1.0, 1e6, 0.89) for name in "abc"]
    with pytest.raises(UsageError, match="one model at a time"):
        against(report(*models), STORED, None)
    with pytest.raises(UsageError, match="holds no measurement"):
        against(report(models[0]), report(), None)


def test_doubts_of_this_run_are_told_where_the_original_was_timed_too() -> None:
    def first_rounds(measurement: Measurement, count: int) -> Measurement:
        kept = [
            replace(each, values=each.values[: count * 10], groups=each.groups[: count * 10]) if each.metric == "latency" else each
            for each in measurement.samples
        ]
        return replace(measurement, samples=tuple(kept))

    now = report(first_rounds(ORIGINAL_NOW, 4), first_rounds(measured("model.int8.onnx", 4, 1.3, 1e6, 0.89), 4))
    found = against(now, STORED, None)
    assert [each.what for each in found.comparisons[0].warnings] == ["times on cpu at batch 1 rest on 4 rounds only"]


def test_of_another_batch_size_and_other_examples_only_sizes_are_compared() -> None:
    short = replace(measured("model.int8.onnx", 4, 1.0, 2e6, 0.9), batch=4)
    few = tuple(replace(each, values=each.values[:100]) if each.paired_by == "example" else each for each in short.samples)
    found = against(report(replace(short, samples=few), data=replace(DATA, digest="other")), STORED, Limits(max_size=1.5))
    assert {name: row.gain for name, row in rows(found).items()} == {"size": -1.0}
