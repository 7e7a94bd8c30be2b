"""Where nodes run on devices that are not the CPU, in words for every form of report."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optkit.units import show_seconds, show_share

if TYPE_CHECKING:
    from optkit.inspection.audit import ProviderAudit
    from optkit.report import Report

TITLE = "Where nodes run"
HEAD = ("model", "device", "provider", "nodes", "kernels", "time")
MOST = 6
"""Operators named."""


@dataclass(frozen=True)
class Row:
    """One provider of one model."""

    model: str
    device: str
    provider: str
    nodes: str
    kernels: str
    time: str

    @property
    def cells(self) -> tuple[str, ...]:
        return self.model, self.device, self.provider, self.nodes, self.kernels, self.time


def rows_of(report: "Report") -> list[Row]:
    """A row for each provider of each model on each device that is not the CPU, and one for copies where there are any."""
    rows = []
    for found in report.audits:
        total = sum(use.seconds for use in found.uses) + found.copy_seconds or 1.0
        for use in found.uses:
            time = f"{show_seconds(use.seconds)} ({show_share(use.seconds / total)})"
            rows.append(Row(found.model, found.device, use.provider, f"{use.nodes:,}", f"{use.kernels:,}", time))
        if copies := found.to_device + found.to_host:
            time = f"{show_seconds(found.copy_seconds)} ({show_share(found.copy_seconds / total)})"
            rows.append(Row(found.model, found.device, "copies", "", f"{copies:,}", time))
    return rows


def sentences(report: "Report") -> list[str]:
    """What is left to the CPU, and how often values are copied, for each model."""
    return [f"{found.model} on {found.device}: {_left(found)}; {_copied(found)}" for found in report.audits]


def _left(found: "ProviderAudit") -> str:
    if not found.fallen_back:
        return "nothing runs on the CPU"
    named = [f"{count:,} {operator}" for operator, count in list(found.fallen_back.items())[:MOST]]
    more = [f"{len(found.fallen_back) - MOST:,} other kinds"] if len(found.fallen_back) > MOST else []
    return f"the CPU runs {', '.join([*named, *more])}"


def _copied(found: "ProviderAudit") -> str:
    if not found.to_device + found.to_host:
        return "no copies between devices within the model"
    copies = "copy" if found.to_device == 1 else "copies"
    return f"{found.to_device:,} {copies} to the device and {found.to_host:,} back in one inference, {show_seconds(found.copy_seconds)}"
