"""A report made of fixed numbers."""

from collections.abc import Callable
from dataclasses import replace
from math import inf, nan
from pathlib import Path

import pytest

from optkit.artifact import Artifact
from optkit.compare import Comparison, Delta, Warned
from optkit.gate import Limits, judge
from optkit.measure import Machine, Measurement
from optkit.report import SCHEMA, Report
from optkit.samples import Samples

ReportMaker = Callable[..., Report]
TANGO, ROUNDS = "Tango score interval", "block bootstrap over rounds"


def delta(metric: str, unit: str, before: float, after: float, gain: float, low: float, high: float, verdict: str, **more: object) -> Delta:
    better = "lower" if unit in ("s", "bytes") else "higher"
    made = Delta(metric, "cpu", 1, unit, better, before, after, gain, low, high, verdict, TANGO, 1000)  # type: ignore[arg-type]
    return replace(made, **more)  # type: ignore[arg-type]


DELTAS = (
    delta("size", "bytes", 68.7e6, 17.4e6, 0.7467, 0.7467, 0.7467, "better", n=1, method="exact"),
    delta("top1", "ratio", 0.844, 0.843, -0.001185, -0.004, 0.0017, "undecided"),
    delta("agreement", "ratio", 1.0, 0.987, -0.013, -0.0221, -0.0076, "worse", method="Wilson score interval"),
    delta("cosine", "ratio", 1.0, 0.99812, -0.00188, -0.0021, -0.0017, "worse"),
    delta("sqnr", "dB", 120.0, 24.1, -0.7992, -0.8, -0.798, "worse"),
    delta("latency_median", "s", 12.2e-3, 6.85e-3, 0.4385, 0.4253, 0.4505, "better", n=40, method=ROUNDS),
    delta("latency_p90", "s", 13.1e-3, 12.9e-3, 0.0153, -0.004, 0.031, "undecided", n=40, method=ROUNDS),
    delta("throughput", "1/s", 81.2, 144.0, 0.7734, 0.741, 0.802, "better", n=40, method=ROUNDS),
    delta("memory", "bytes", 160e6, 171e6, -0.06875, -0.07, -0.065, "same", n=5, method=ROUNDS),
    delta("load_time", "s", 0.31, 0.43, -0.387, -0.45, -0.33, "worse", n=5, method=ROUNDS),
)
ODD = (
    delta("mean_absolute_error", "", 0.5, 0.4, 0.2, 0.15, 0.25, "better", better="lower"),
    delta("top5", "ratio", 0.0, 0.1, nan, nan, nan, "undecided"),
    delta("word_accuracy", "ratio", 0.5, 0.6, 0.2, -inf, inf, "undecided", n=1, method="paired bootstrap over groups"),
    delta("auroc", "ratio", 0.9, 0.9, 0.0, 0.0, 0.0, "same"),
    delta("finite", "ratio", 1.0, 0.97, -0.03, -0.04, -0.02, "worse"),
    delta("size", "bytes", 100.0, 120.0, -0.2, -0.2, -0.2, "worse", n=1, method="exact"),
    delta("memory", "bytes", 0.0, 8.0, nan, nan, nan, "undecided", n=5, method=ROUNDS),
    delta("latency_median", "s", 1e-3, 1e-3, 0.0, -inf, 1.0, "undecided", n=1, method=ROUNDS),
)
ALL_LIMITS = Limits(max_drop=0.003, min_speedup=1.3, max_size=0.2, min_agreement=0.9)


@pytest.fixture
def make_report() -> ReportMaker:
    """`make_report(models, limits, deltas)`: so many models after the first, judged where there are limits."""

    def make(models: int = 1, limits: Limits | None = None, deltas: tuple[Delta, ...] = DELTAS) -> Report:
        names = ["model.onnx", *(f"model.variant{i}.onnx" for i in range(1, models + 1))]
        machine = Machine("Linux x86_64", "A Processor of Some Make @ 2.10GHz", 2, ("avx2",), {"onnxruntime": "1.31.1"})
        size = Samples("size", "bytes", "lower", (68.7e6,), "none", "median")
        measurements = tuple(
            Measurement(Artifact(Path(name), "onnx", name), name, "cpu", 1, 1, machine, (size,), {"CPUExecutionProvider": 9})
            for name in names
        )
        doubt = Warned("200 examples are few: top1 of model.variant1.onnx is known to ±2.2% only", "about 1,000 examples would give ±1%")
        comparisons = tuple(Comparison(names[0], name, deltas, (doubt,)) for name in names[1:])
        verdict = None if limits is None else judge(comparisons, limits)
        notes = ("1,000 examples of evaluation.npz, with labels", "quantize: kept 3 nodes in float")
        return Report(SCHEMA, " → ".join(names[:2]), "2026-01-02T03:04:05+00:00", measurements, comparisons, verdict, notes)

    return make


@pytest.fixture
def limits() -> Limits:
    """One of each kind: one holds, one is broken, one is undecided."""
    return ALL_LIMITS


@pytest.fixture
def odd() -> tuple[Delta, ...]:
    """Differences of the kinds that are rare."""
    return ODD
