"""What docs/ describes is what there is: every metric, every field of the JSON."""

import re
from dataclasses import fields
from pathlib import Path

from optkit.bench import Benched, BenchReport, Stored, Watched
from optkit.compare import Comparison, Delta, Slice, Warned
from optkit.drift import Drift, TensorDrift
from optkit.gate import Check, Verdict
from optkit.inspection import Advice, Inspection, NodeTime, Operator, OperatorTime, Part, Profile, Weights, Work
from optkit.inspection.audit import ProviderAudit, ProviderUse
from optkit.inspection.under_roof import Draft, Peaks, Placed, Prediction, Roofline
from optkit.layers import Layer, LayerComparison
from optkit.measure import Conditions, Machine, Measurement
from optkit.registry import members
from optkit.report import SCHEMA, DataUsed, Report
from optkit.samples import Samples
from optkit.scenarios import Figure, Outcome, Traffic

DOCS = Path(__file__).parents[2] / "docs"


def words(name: str) -> set[str]:
    return set(re.findall(r"`([a-z0-9_]+)`", (DOCS / name).read_text(encoding="utf-8")))


def names(*records: type) -> set[str]:
    return {each.name for record in records for each in fields(record)}


def test_every_metric_is_described() -> None:
    assert set(members("metrics")) - words("metrics.md") == set()


def test_every_field_is_described() -> None:
    described = names(Report, Comparison, Delta, Slice, Check, Samples, DataUsed, Drift, TensorDrift)
    described |= names(Measurement, Machine, Conditions, Verdict, Warned, ProviderAudit, ProviderUse, Layer, LayerComparison)
    described |= names(BenchReport, Benched, Watched, Stored, Outcome, Figure, Traffic)
    described |= names(Inspection, Weights, Operator, Work, Part, Profile, OperatorTime, NodeTime, Advice)
    described |= names(Roofline, Peaks, Placed, Draft, Prediction)
    assert described - words("report-json.md") == set()
    assert f"`schema` is {SCHEMA};" in (DOCS / "report-json.md").read_text(encoding="utf-8")
