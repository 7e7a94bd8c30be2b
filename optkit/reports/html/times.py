"""Where the time of each model goes: by operator, all models on one scale, and node by node."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optkit.reports.html.series import Series, series_of
from optkit.units import show_seconds, show_share

if TYPE_CHECKING:
    from optkit.inspection import Profile
    from optkit.report import Report

MOST = 8
"""Operators shown for each model; the rest are summed."""


@dataclass(frozen=True)
class Spent:
    """What one kind of operator takes."""

    operator: str
    time: str
    share: str
    width: float
    """Of its bar, 0 to 100, on the scale of all models."""
    says: str


@dataclass(frozen=True)
class Whole:
    """One model."""

    series: Series
    total: str
    basis: str
    rows: tuple[Spent, ...]
    nodes: tuple[tuple[str, str, str], ...]
    """Node, operator and time of the slowest."""


def view(report: "Report") -> list[Whole]:
    """One for each model that was profiled."""
    series = series_of(report)
    longest = max((row.seconds for each in report.profiles.values() for row in each.operators), default=0.0) or 1.0
    return [_whole(series[name], profile, longest) for name, profile in report.profiles.items() if name in series]


def _whole(series: Series, profile: "Profile", longest: float) -> Whole:
    shown = [(row.operator, row.calls, row.seconds, row.share) for row in profile.operators[:MOST]]
    rest = profile.operators[MOST:]
    if rest:
        kinds = f"{len(rest)} other kinds" if len(rest) > 1 else "1 other kind"
        shown.append((kinds, sum(row.calls for row in rest), sum(row.seconds for row in rest), sum(row.share for row in rest)))
    rows = [
        Spent(
            name,
            show_seconds(seconds),
            show_share(share),
            100 * min(seconds / longest, 1.0),
            f"{series.name}: {name}, {calls:,} in one inference, {show_seconds(seconds)}, {show_share(share)} of the time in operators",
        )
        for name, calls, seconds, share in shown
    ]
    nodes = tuple((node.node, node.operator, show_seconds(node.seconds)) for node in profile.slowest)
    return Whole(series, show_seconds(profile.seconds), f"{profile.runs:,} runs on {profile.device}", tuple(rows), nodes)
