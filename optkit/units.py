"""People's units at the edge; seconds, bytes and ratios 0..1 everywhere else."""

import re

from optkit.errors import UsageError

_TIMES = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
_SIZES = {"": 1, "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def parse_seconds(text: str) -> float:
    """`10s`, `50ms`, `2min`; a bare number is seconds."""
    number, unit = _split(text, "a time such as 10s or 50ms")
    if (unit or "s") not in _TIMES:
        raise UsageError(f"{text!r} is not a time", hint="units: " + ", ".join(_TIMES))
    return number * _TIMES[unit or "s"]


def parse_bytes(text: str) -> int:
    """`2GB`, `500MiB`; a bare number is bytes."""
    number, unit = _split(text, "a size such as 2GB")
    if unit not in _SIZES:
        raise UsageError(f"{text!r} is not a size", hint="units: " + ", ".join(filter(None, _SIZES)))
    return int(number * _SIZES[unit])


def parse_ratio(text: str) -> float:
    """`1%` → 0.01; `0.01` stays."""
    number, unit = _split(text, "a share such as 1% or 0.01")
    if unit not in ("", "%"):
        raise UsageError(f"{text!r} is not a share", hint="write 1% or 0.01")
    return number / 100 if unit else number


def _split(text: str, wanted: str) -> tuple[float, str]:
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*([A-Za-zµ%]*)\s*", text)
    if not found:
        raise UsageError(f"{text!r} is not {wanted}")
    return float(found[1]), found[2]


def show_seconds(seconds: float) -> str:
    """Three significant digits in the unit that suits: `12.2 ms`."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if abs(seconds) >= size:
            return f"{_three(seconds / size)} {unit}"
    return f"{_three(seconds / 1e-9)} ns" if seconds else "0 s"


def show_bytes(size: float) -> str:
    """Decimal units, three significant digits: `68.7 MB`."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(size) >= scale:
            return f"{_three(size / scale)} {unit}"
    return f"{size:.0f} B"


def show_count(number: float) -> str:
    """Three significant digits in thousands, millions, …: `1.43 G`."""
    for letter, scale in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(number) >= scale:
            return f"{_three(number / scale)} {letter}"
    return f"{number:.0f}"


def counted(count: int, what: str) -> str:
    """`1 core`, `2 cores`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def show_percent(ratio: float, signed: bool = False) -> str:
    """`0.0123` → `1.23%`."""
    return f"{ratio * 100:{'+' if signed else ''}.{_decimals(ratio * 100)}f}%"


def show_share(share: float) -> str:
    """A part of a whole: `94.7%`, `<0.1%`; `100%` only where nothing to speak of is missing."""
    if 0 < share < 0.0005:
        return "<0.1%"
    return f"{share:.0%}" if share == 0 or share >= 0.9995 else f"{share:.1%}"


def show_value(value: float, unit: str) -> str:
    """A value in the unit of its Samples."""
    match unit:
        case "s":
            return show_seconds(value)
        case "bytes":
            return show_bytes(value)
        case "1/s":
            return f"{_three(value)}/s"
        case "ratio":
            return f"{value * 100:.2f}%"
        case "dB":
            return f"{value:.1f} dB"
        case _:
            return _three(value) + (f" {unit}" if unit else "")


def _three(number: float) -> str:
    return f"{number:,.{_decimals(number)}f}"


def _decimals(number: float) -> int:
    size = abs(number)
    return 0 if size >= 100 else 1 if size >= 10 else 2
