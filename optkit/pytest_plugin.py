"""The fixture `optkit_compare`: hold a model against limits in a test. Every pytest run loads this module, so it imports nothing heavy."""

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from optkit.datasets import Examples
    from optkit.gate import Limits, Verdict
    from optkit.report import Report

PathLike = str | os.PathLike[str]
Ratio = float | str
"""`0.01`, or `"1%"`."""
LARGEST = {"max_drop": 0.99, "max_size": 10.0, "min_agreement": 1.0}
"""Beyond it somebody wrote percent without the sign."""


class LimitUndecided(UserWarning):
    """The data does not decide whether a limit holds."""


@pytest.fixture(scope="session")
def optkit_compare() -> "Callable[..., Report]":
    """`optkit_compare(before, after, data=…, max_drop="1%")`: compares two ONNX models; fails the test where a limit is broken.

    Limits, as those of `optkit gate`: max_drop, preset, min_speedup, max_size, min_agreement, max_fallback_nodes, baseline; strict=True
    also fails what is undecided, which otherwise warns. data, metric, device, output, threads, seconds, samples, synthetic, html, … say
    how to compare. Returns the report.
    """
    return compare_in_test


def compare_in_test(
    before: PathLike,
    after: PathLike,
    *,
    data: "str | Path | Examples | None" = None,
    metric: str | Sequence[str] = (),
    device: str | Sequence[str] = "cpu",
    max_drop: Ratio | None = None,
    preset: Literal["mlperf-99", "mlperf-99.9"] | None = None,
    min_speedup: float | None = None,
    max_size: Ratio | None = None,
    min_agreement: Ratio | None = None,
    max_fallback_nodes: int | None = None,
    baseline: PathLike | None = None,
    strict: bool = False,
    html: PathLike | None = None,
    samples: int | None = None,
    synthetic: bool = False,
    **settings: Any,
) -> "Report":
    """What the fixture gives. `html` names a file to write the report to, whatever the outcome; `settings` are other fields of
    `optkit.measure.Settings`: output, batches, threads, seconds, by, precision, own_process, seed.

    Raises UsageError, DataError or ModelError where something does not fit.
    """
    from optkit.formats import read_artifact
    from optkit.gate import Limits
    from optkit.measure import Settings, was_interrupted
    from optkit.prove import prove

    if unknown := settings.keys() - (known := {field.name for field in fields(Settings)}):
        raise TypeError(f"optkit_compare() has no argument {min(unknown)!r}; settings of measuring are {', '.join(sorted(known))}")
    limits = Limits(
        max_drop=_ratio("max_drop", max_drop),
        min_speedup=min_speedup,
        max_size=_ratio("max_size", max_size),
        min_agreement=_ratio("min_agreement", min_agreement),
        strict=strict,
        preset=preset,
        baseline=None if baseline is None else str(baseline),
        max_fallback_nodes=max_fallback_nodes,
    )
    report = prove(
        [read_artifact(Path(model)) for model in (before, after)],
        str(data) if isinstance(data, os.PathLike) else data,
        Settings.of(metrics=metric, devices=device, **settings),
        samples=samples,
        synthetic=synthetic,
        limits=limits if _limits_something(limits) else None,
    )
    if was_interrupted(report.measurements):
        raise KeyboardInterrupt
    if html is not None:
        from optkit.reports.html import render

        Path(html).write_text(render(report), encoding="utf-8")
    if report.verdict is not None:
        _end(report.title, report.verdict)
    return report


def _limits_something(limits: "Limits") -> bool:
    from optkit.gate import Limits

    return limits != Limits(strict=limits.strict)


def _end(title: str, verdict: "Verdict") -> None:
    from optkit.reports._words import verdict_sentence

    broken = [f"{check.outcome} {check.limit}: {check.reason}" for check in verdict.checks if check.outcome != "passed"]
    told = "\n".join((f"{title}: {verdict_sentence(verdict)}", *broken))
    if verdict.outcome == "failed":
        pytest.fail(told, pytrace=False)
    if verdict.outcome == "undecided":
        warnings.warn(told, LimitUndecided, stacklevel=3)


def _ratio(name: str, given: Ratio | None) -> float | None:
    from optkit.errors import UsageError
    from optkit.units import parse_ratio

    value = parse_ratio(given) if isinstance(given, str) else given
    if value is not None and not 0 <= value <= LARGEST[name]:
        raise UsageError(f"{value:g} is not between 0 and {LARGEST[name]:g}", where=name, hint=f'for {value:g} percent write "{value:g}%"')
    return value
