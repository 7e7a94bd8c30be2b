"""The scatter, read back: points lie where the values of the record are."""

import re
from collections.abc import Callable
from dataclasses import replace
from math import log

import pytest

from optkit.report import Report
from optkit.reports.html.bounds import Bounds
from optkit.reports.html.scales import Scale
from optkit.reports.html.series import Series
from optkit.reports.html.tradeoff import Point, _names, view
from optkit.units import parse_seconds

FullReport = Callable[..., Report]
TEXT = re.compile(r'<text x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]+)</text>')


def points(drawn: str) -> dict[str, tuple[float, float]]:
    """Centre of each model's mark."""
    found = {}
    for name, inside in re.findall(r'<g data-model="([^"]+)">(.*?)</g>', drawn):
        if circle := re.search(r'cx="([\d.]+)" cy="([\d.]+)"', inside):
            found[name] = (float(circle[1]), float(circle[2]))
        else:
            x, y = re.search(r'x1="([\d.]+)"[^>]*x2="\1"', inside), re.search(r'y1="([\d.]+)" x2="[\d.]+" y2="\1"', inside)
            assert x is not None and y is not None  # noqa: PT018  # for the type checker
            found[name] = (float(x[1]), float(y[1]))
    return found


def axis(drawn: str, unit: str) -> list[tuple[float, float, float]]:
    """Place across, place down and value of what is written beside the axes, in this unit."""
    return [
        (float(x), float(y), float(said.removesuffix(unit).strip()))
        for x, y, said in TEXT.findall(drawn)
        if re.fullmatch(rf"[\d.]+\s*{unit}", said)
    ]


@pytest.mark.parametrize("size", [0, 1], ids=["wide", "narrow"])
def test_points_are_at_the_values_of_the_record(full_report: FullReport, size: int) -> None:
    report = full_report(3)
    found = view(report)
    assert found is not None
    drawn = str(found.pictures[size])
    marks = points(drawn)
    deltas = [{delta.metric: delta for delta in each.deltas} for each in report.comparisons]
    values = {"model.onnx": (deltas[0]["latency_median"].before, deltas[0]["top1"].before)}
    for each, of in zip(report.comparisons, deltas, strict=True):
        values[each.after] = (deltas[0]["latency_median"].before * (1 - of["latency_median"].gain), of["top1"].after)
    assert marks.keys() == values.keys()
    (x1, _, t1), *_, (x2, _, t2) = axis(drawn, "ms")
    (_, y1, q1), *_, (_, y2, q2) = axis(drawn, "%")
    for name, (time, score) in values.items():
        across = x1 + (x2 - x1) * log(time / (t1 * parse_seconds("1ms"))) / log(t2 / t1)
        up = y1 - 4 + (y2 - y1) * (100 * score - q1) / (q2 - q1)
        assert list(marks[name]) == pytest.approx([across, up], abs=0.3)


@pytest.mark.slow
def test_names_do_not_lie_on_each_other(full_report: FullReport) -> None:
    found = view(full_report(6))
    assert found is not None
    for drawn in found.pictures:
        names = [(float(x), float(y)) for x, y, said in TEXT.findall(str(drawn)) if said.startswith("model")]
        assert len(names) == 7
        assert all(abs(one[1] - other[1]) >= 12 or abs(one[0] - other[0]) > 40 for i, one in enumerate(names) for other in names[:i])


def test_two_models_need_no_scatter(full_report: FullReport) -> None:
    assert view(full_report(1)) is None


def test_without_times_or_scores_there_is_none(full_report: FullReport) -> None:
    report = full_report(2)
    for metric in ("latency_median", "top1"):
        left = tuple(replace(each, deltas=tuple(d for d in each.deltas if d.metric != metric)) for each in report.comparisons)
        assert view(replace(report, comparisons=left)) is None


def test_names_keep_off_the_marks_of_neighbours() -> None:
    spots = [(300.0, 200.0), (301.0, 200.0), (375.0, 200.0), (380.0, 215.0)]
    points = [Point(Series(f"model{i}.onnx", i), Bounds(x, x, x), Bounds(y, y, y), "") for i, (x, y) in enumerate(spots)]
    same = Scale(0.0, 1000.0, 0.0, 1000.0)
    drawn = "".join(map(str, _names(points, same, same, 480.0)))
    names = [
        (float(x), float(y), 'text-anchor="end"' in whole) for whole, x, y in re.findall(r'(<text x="([\d.]+)" y="([\d.]+)"[^>]*>)', drawn)
    ]
    assert len(names) == 4
    for x, y, before in names:
        left, right = (x - 90, x) if before else (x, x + 90)
        assert not [spot for spot in spots if left - 4 < spot[0] < right + 4 and y - 12 < spot[1] < y + 4]
