"""A report with everything in it: made of raw samples, compared and judged as always."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from optkit.artifact import Artifact, Made
from optkit.compare import compare_all, sliced
from optkit.gate import Limits, judge
from optkit.inspection import NodeTime, OperatorTime, Profile
from optkit.layers import Layer, LayerComparison
from optkit.measure import Machine, Measurement
from optkit.report import SCHEMA, Report
from optkit.samples import Samples

FullReport = Callable[..., Report]
MACHINE = Machine("Linux 6.1 x86_64", "A Processor of Some Make @ 2.10GHz", 2, ("avx2",), {"onnxruntime": "1.31.1", "optkit": "0.1.0"})
ROUNDS, QUERIES, EXAMPLES = 12, 100, 400


@pytest.fixture(scope="session")
def full_report() -> FullReport:
    """`full_report(models, batches, names, limits, layers)`: so many models after the first, each twice as fast as the one before."""
    return make_report


@cache
def make_report(
    models: int = 1,
    batches: tuple[int, ...] = (1,),
    names: tuple[str, ...] = (),
    limits: Limits | None = None,
    layers: bool = True,
) -> Report:
    names = names or ("model.onnx", *(f"model.variant{i}.onnx" for i in range(1, models + 1)))
    measurements = tuple(_measured(name, i, batch, batch == batches[0]) for batch in batches for i, name in enumerate(names))
    labels = tuple(str(i % 5) for i in range(EXAMPLES))
    comparisons = sliced(compare_all(measurements), measurements, {"label": labels})
    return Report(
        schema=SCHEMA,
        title=f"{names[0]} → {', '.join(names[1:])}",
        created="2026-01-02T03:04:05+00:00",
        measurements=measurements,
        comparisons=comparisons,
        verdict=None if limits is None else judge(comparisons, limits),
        notes=(f"{EXAMPLES} examples of evaluation.npz, with labels",),
        layers=tuple(_layers(names[0], name) for name in names[1:]) if layers else (),
        profiles={name: _profile(i) for i, name in enumerate(names)} if layers else {},
    )


def _measured(name: str, number: int, batch: int, first: bool) -> Measurement:
    dice = np.random.default_rng((number, batch))
    machine = np.exp(np.random.default_rng(batch).normal(0, 0.1, ROUNDS)).repeat(QUERIES)  # what the machine does to all models alike
    times = 8e-3 * batch * 0.5**number * machine * np.exp(dice.normal(0, 0.05, ROUNDS * QUERIES))
    rounds = tuple(i // QUERIES for i in range(ROUNDS * QUERIES))
    answers = np.random.default_rng(9).random(EXAMPLES) < 0.9
    answers[: 3 * number] = False
    memory = tuple(1e8 * 0.6**number + dice.normal(0, 1e5, 6))
    samples = [
        Samples("latency", "s", "lower", tuple(times.tolist()), "round", "median", groups=rounds),
        Samples("memory", "bytes", "lower", tuple(map(float, memory)), "round", "median"),
    ]
    if first:
        samples += [
            Samples("top1", "ratio", "higher", tuple(answers.astype(float).tolist()), "example"),
            Samples("size", "bytes", "lower", (68e6 * 0.3**number,), "none", "median"),
        ]
    lineage = (Made("quantize", {"samples": 128, "exclude": []}, "a" * 64, "b" * 64, {"numpy": "2.4"}, 0, {"method": "static"}),)
    model = Artifact(Path(name), "onnx", f"{number}" * 64, lineage if number else ())
    return Measurement(model, name, "cpu", batch, 1, MACHINE, tuple(samples), {"CPUExecutionProvider": 9 + number})


def _layers(before: str, after: str) -> LayerComparison:
    ratios = (120.0, 42.0, 35.0, 17.0, 28.0, float("-inf"))
    found = tuple(
        Layer(
            f"t{i}", f"/block/conv{i}", "Conv", f"t{i}_q", "name", ratio, min(ratio + 4, 120.0), ratio if ratio > 0 else 15.0, (f"conv{i}",)
        )
        for i, ratio in enumerate(ratios)
    )
    return LayerComparison(before, after, before, "evaluation.npz", 16, "int8", found, 21.0, {"no value": 2})


def _profile(number: int) -> Profile:
    kinds = [OperatorTime(f"Kind{i}", "CPU", 3, 1e-3 / (i + 1 + number), 0.1) for i in range(11)]
    return Profile("cpu", 1, 200, "evaluation.npz", 8e-3, tuple(kinds), 1e-5, (NodeTime("/block/conv0", "Conv", 5e-4),))


@pytest.fixture(scope="session")
def hostile() -> Report:
    """Models whose names are markup."""
    report = make_report(names=("<script>alert(1)</script>.onnx", "a\"><img src=x onerror=alert(2)>&'.onnx"), limits=Limits(max_drop=0.01))
    return replace(report, notes=("</style><script>alert(3)</script>",))
