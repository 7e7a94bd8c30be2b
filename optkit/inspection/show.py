"""An inspection as a person reads it: 80 columns, and nothing that needs colour."""

from collections.abc import Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from optkit.inspection import Inspection, Operator, Part, Profile
from optkit.inspection.advice import limit_of
from optkit.runtimes import Port
from optkit.units import show_bytes, show_count, show_seconds, show_share

LABEL = 11
"""Columns of the labels on the left."""
BAR = 16
"""Columns of a bar that stands for everything."""
MOST_ROWS, MOST_KINDS = 12, 30
RETURN_BEFORE = frozenset({"CUDA", "Tensorrt", "NvTensorRTRTX", "Dml"})
"""Providers whose kernels return before the device has computed."""


def show_inspection(found: Inspection, console: Console) -> None:
    """Print it."""
    console.print(Text(found.path, style="bold"), soft_wrap=True)
    console.print(_facts(found))
    if found.parts:
        console.print(_parts(found))
    if found.profile:
        console.print(_profile(found.profile))
    _print_advice(found, console)


def _facts(found: Inspection) -> RenderableType:
    opsets = ", ".join(f"{domain} {version}".strip() for domain, version in sorted(found.opsets.items()))
    made = f", made by {found.producer}" if found.producer else ""
    rows = {
        "file": f"{show_bytes(found.bytes)}, ONNX opset {opsets}, IR version {found.ir_version}{made}",
        "inputs": _ports(found.inputs),
        "outputs": _ports(found.outputs),
        "parameters": show_count(found.parameters),
        "weights": _weights(found),
        "work": _work(found),
        "operators": _operators(found.operators),
        "note": "\n".join(found.notes),
    }
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", width=LABEL)
    table.add_column(overflow="fold")
    for label, text in rows.items():
        if text:
            table.add_row(label, Text(text))
    return table


def _ports(ports: Sequence[Port]) -> str:
    return "\n".join(f"{port.name}  {port.dtype} [{', '.join('?' if d is None else str(d) for d in port.shape)}]" for port in ports)


def _weights(found: Inspection) -> str:
    total = sum(w.bytes for w in found.weights)
    if not total:
        return "none"
    rows = [w for w in found.weights if w.bytes >= total / 1000] or found.weights
    texts = [f"{show_bytes(w.bytes)} {w.dtype} in {w.tensors} tensor{'s' if w.tensors > 1 else ''}" for w in rows]
    rest = total - sum(w.bytes for w in rows)
    return ", ".join([*texts, f"{show_bytes(rest)} other"] if rest else texts)


def _work(found: Inspection) -> str:
    work = found.work
    lines = [f"{show_count(work.macs)} MACs for {', '.join(f'{name} {list(shape)}' for name, shape in work.sizes.items())}"]
    if work.assumed:
        sizes = ", ".join(f"{name}={size}" for name, size in work.assumed.items())
        lines.append(f"assumed: {sizes} (--shape NAME=SIZE or --data sets it)")
    if work.unknown:
        lines.append(f"not counted: {_counted(work.unknown.items())}")
    return "\n".join([*lines, *work.notes])


def _operators(operators: Sequence[Operator]) -> str:
    return _counted((f"{o.domain}::{o.name}".removeprefix("::"), o.count) for o in operators)


def _counted(items: Iterable[tuple[str, int]]) -> str:
    texts = [f"{name}×{count}" if count > 1 else name for name, count in items]
    rest = len(texts) - MOST_KINDS
    return ", ".join(texts[:MOST_KINDS]) + (f" and {rest} more kind{'s' if rest > 1 else ''}" if rest > 0 else "")


def _parts(found: Inspection) -> RenderableType:
    table = _table(
        ("operator", "left"),
        ("nodes", "right"),
        ("of MACs", "right"),
        ("", "left"),
        ("of bytes", "right"),
        ("now", "left"),
        ("can be", "left"),
    )
    total = sum(w.bytes for w in found.weights) or 1
    for part in found.parts[:MOST_ROWS]:
        share = part.macs / found.work.macs if found.work.macs else 0.0
        size = show_share(part.weight_bytes / total)
        table.add_row(Text(part.operator), str(part.nodes), show_share(share), _bar(share, BAR // 2), size, part.now, _can(part))
    return Padding(table, (1, 0, 0, 0))


def _can(part: Part) -> str:
    return {"nothing": "stays"}.get(part.can, part.can)


def _profile(profile: Profile) -> RenderableType:
    threads = "the runtime's threads" if profile.threads == 0 else f"{profile.threads} thread{'s' if profile.threads > 1 else ''}"
    head = Table.grid(padding=(0, 2, 0, 0))
    head.add_column(style="dim", width=LABEL)
    head.add_column(overflow="fold")
    head.add_row("time", f"{_time(profile.seconds)} an inference while it is recorded, median of {profile.runs} runs")
    head.add_row("", Text(f"on {profile.device}, {threads}, with {profile.data}"))
    beside = sorted({row.provider for row in profile.operators} & RETURN_BEFORE)
    note = [Text(f"of {' and '.join(beside)}: the time to start the work, which the device does meanwhile", style="dim")] if beside else []
    return Padding(Group(head, Text(""), _operator_times(profile), *note), (1, 0, 0, 0))


def _operator_times(profile: Profile) -> Table:
    several = len({row.provider for row in profile.operators}) > 1
    table = _table(("operator as run", "left"), ("calls", "right"), ("time", "right"), ("share", "right"), ("", "left"))
    for row in profile.operators[:MOST_ROWS]:
        name = f"{row.operator} ({row.provider})" if several else row.operator
        table.add_row(Text(name), str(row.calls), _time(row.seconds), show_share(row.share), _bar(row.share))
    rest = profile.operators[MOST_ROWS:]
    if rest:
        share, calls, seconds = sum(row.share for row in rest), sum(row.calls for row in rest), sum(row.seconds for row in rest)
        table.add_row(f"{len(rest)} others", str(calls), _time(seconds), show_share(share), _bar(share))
    table.add_row("between operators", "", _time(profile.between), "", "")
    return table


def _time(seconds: float) -> str:
    """ONNX Runtime records whole microseconds."""
    return show_seconds(seconds) if seconds >= 1e-3 else f"{seconds * 1e6:.0f} µs"


def _table(*columns: tuple[str, str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name, side in columns:
        table.add_column(
            name, justify="right" if side == "right" else "left", no_wrap=name not in ("operator", "operator as run"), overflow="fold"
        )
    return table


def _bar(share: float, width: int = BAR) -> str:
    return "█" * max(round(share * width), 1 if share > 0.005 else 0)


def _print_advice(found: Inspection, console: Console) -> None:
    # what the roofline expects is nearer than what is the limit
    limit = limit_of(found.profile, found.parts) if found.profile and found.roofline is None else None
    console.print(Text("\nwhat would pay", style="bold"))
    for advice in [*found.advice, *([limit] if limit else [])]:
        table = Table.grid()
        table.add_row("- ", Text(advice.what))
        console.print(table)
        if advice.command:
            # in one line however long, so that it can be copied
            console.print(Text(f"  {advice.command}", style="cyan"), soft_wrap=True)
