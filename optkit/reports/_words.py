"""The words for metrics, values and differences, the same in every form of report."""

from collections.abc import Iterable
from math import isfinite
from typing import TYPE_CHECKING

from optkit.samples import FALL_BACKS, kind_of
from optkit.units import counted, show_bytes, show_value

if TYPE_CHECKING:
    from optkit.compare import Delta, Warned
    from optkit.gate import Verdict
    from optkit.measure import Machine
    from optkit.report import Report

NAMES = {
    "latency_median": "latency, median",
    "latency_p90": "latency, p90",
    "latency_p99": "latency, p99",
    "load_time": "load time",
    "first_inference": "first answer",
    "memory": "peak memory",
    "device_memory": "device memory",
    "device_time": "device time",
    "size": "file size",
    "compressed_size": "file size, gzip",
    "cpu_time": "CPU time",
    "sqnr": "SQNR",
    "finite": "finite answers",
    "fall_back_nodes": "nodes on the CPU",
}
HEADING = 22
ORDER = (
    "finite",
    "agreement",
    "cosine",
    "sqnr",
    "latency_median",
    "latency_p90",
    "latency_p99",
    "throughput",
    "cpu_time",
    "device_time",
    "size",
    "compressed_size",
    "memory",
    "device_memory",
    "load_time",
    "first_inference",
    "fall_back_nodes",
)
SECTIONS = ("accuracy", "fidelity", "cost")


def name_of(metric: str) -> str:
    """What a row is called."""
    return NAMES.get(metric, metric)


def rank(metric: str) -> tuple[int, int, str]:
    """Where a row stands: accuracy by name, fidelity, then latency, throughput and the rest."""
    return SECTIONS.index(kind_of(metric)), ORDER.index(metric) if metric in ORDER else len(ORDER), metric


def before_of(delta: "Delta") -> str:
    """The value before. What is measured against the original has none."""
    return "" if kind_of(delta.metric) == "fidelity" else value_of(delta, delta.before)


def after_of(delta: "Delta") -> str:
    """The value after."""
    return value_of(delta, delta.after)


def value_of(delta: "Delta", value: float) -> str:
    """A value of a metric, in the unit that suits it."""
    if not isfinite(value):
        return "not finite"
    if delta.metric == "cosine":
        return f"{value:.5f}"
    return show_value(value, delta.unit) if delta.unit else f"{value:.4g}"


def sentence(delta: "Delta") -> str:
    """The difference in words, with its interval."""
    if delta.metric == FALL_BACKS:
        return {"better": "fewer", "worse": "more"}.get(delta.verdict, "the same")
    if kind_of(delta.metric) == "fidelity":
        return _fidelity(delta)
    if not isfinite(delta.gain):
        return "cannot be compared: 0 before" if delta.before == 0 else "cannot be compared: not finite"
    if kind_of(delta.metric) == "accuracy":
        return _score(delta)
    if delta.unit in ("s", "1/s") and delta.metric != "cpu_time":
        return _speed(delta)
    return _amount(delta)


def short(delta: "Delta") -> str:
    """The difference with its interval in two short lines."""
    if kind_of(delta.metric) == "fidelity" or not isfinite(delta.gain) or delta.n == 1:
        return sentence(delta)
    if kind_of(delta.metric) == "accuracy":
        change, low, high = change_of(delta)
        return sentence(delta) if delta.verdict == "same" else f"{change} ({low} to {high}){_doubt(delta)}"
    if delta.unit == "s" and delta.verdict == "worse" and delta.metric != "cpu_time":
        return sentence(delta).replace(" (", "\n(")
    if delta.unit in ("s", "1/s") and delta.metric != "cpu_time":
        return f"{_factor(delta, delta.gain)}×{_between(delta)}{_doubt(delta)}"
    return f"{1 - delta.gain:.0%} of it{_doubt(delta)}"


def _doubt(delta: "Delta") -> str:
    return f"\n{_alike(delta)}" if delta.verdict in ALIKE else ""


def _score(delta: "Delta") -> str:
    if delta.verdict == "same":
        unit = "group" if "groups" in delta.method else "example"
        return f"the same on the only {unit}" if delta.n == 1 else f"the same on all {counted(delta.n, unit)}"
    up = delta.after > delta.before
    change, low, high = change_of(delta)
    what = f"{change.lstrip('+−')} {'higher' if up else 'lower'}" if delta.after != delta.before else "no change"
    if not (isfinite(delta.low) and isfinite(delta.high)):
        return f"{what}: {_one_unit(delta)}"
    means = {"better": "better", "worse": "worse"}.get(delta.verdict) or ("no loss shown" if delta.gain <= 0 else "no gain shown")
    return f"{what} (between {low} and {high}): {means}"


def _one_unit(delta: "Delta") -> str:
    return f"one {'group' if 'groups' in delta.method else 'example'} says nothing of chance"


def change_of(delta: "Delta") -> tuple[str, str, str]:
    """Change, lowest and highest of the value itself: in points where it is a share, otherwise relative."""
    low, high = (delta.low, delta.high) if delta.better == "higher" else (-delta.high, -delta.low)
    change = delta.gain if delta.better == "higher" else -delta.gain
    scale, unit = (abs(delta.before) * 100, " points") if delta.unit == "ratio" else (100.0, "%")
    bound = "" if delta.unit == "ratio" else "%"
    return f"{_signed(change * scale)}{unit}", f"{_signed(low * scale)}{bound}", f"{_signed(high * scale)}{bound}"


ALIKE = {"same": "about the same", "undecided": "too close to tell"}
"""Known to differ by nothing of consequence, and not known."""


SHOWN = 0.005
"""The least difference that two decimals show."""


def _alike(delta: "Delta") -> str:
    """Of a difference that is not shown to matter. Where one is shown all the same, its direction: how much it is remains open."""
    if delta.verdict == "undecided" and kind_of(delta.metric) != "accuracy" and (delta.low >= SHOWN or delta.high <= -SHOWN):
        better, worse = ("faster", "slower") if delta.unit == "s" else ("more", "less") if delta.better == "higher" else ("less", "more")
        return f"perhaps {better if delta.low > 0 else worse}"
    return ALIKE[delta.verdict]


def _speed(delta: "Delta") -> str:
    if delta.verdict in ALIKE:
        return f"{_alike(delta)}{_between(delta)}"
    if delta.unit == "s" and delta.verdict == "worse":
        between = (
            f" ({_slowness(delta.high)} to {_slowness(delta.low)})" if isfinite(delta.low) and isfinite(delta.high) else " (measured once)"
        )
        return f"{_slowness(delta.gain)}× as slow{between}"
    as_what = "as fast" if delta.unit == "s" else "as much"
    slower = "" if delta.verdict == "better" else ": less"
    return f"{_factor(delta, delta.gain)}× {as_what}{_between(delta)}{slower}"


def _slowness(gain: float) -> str:
    """Times as long."""
    return f"{1 - gain:.2f}" if 1 - gain < 100 else f"{1 - gain:,.0f}"


def _factor(delta: "Delta", gain: float) -> str:
    factor = 1 + gain if delta.better == "higher" else 1 / (1 - gain) if gain < 1 else float("inf")
    return f"{factor:.2f}" if factor < 100 else f"{factor:,.0f}"


def _between(delta: "Delta") -> str:
    if not (isfinite(delta.low) and isfinite(delta.high)):
        return " (measured once)"
    return f" ({_factor(delta, delta.low)} to {_factor(delta, delta.high)})"


def _amount(delta: "Delta") -> str:
    if delta.n == 1:
        if delta.verdict == "same":
            return "the same"
        share, size = f"{1 - delta.gain:.1%}", "smaller" if delta.verdict == "better" else "larger"
        if share == "100.0%" and delta.unit == "bytes":
            return f"{size} by {show_bytes(abs(delta.after - delta.before))}"
        return f"{share} of it: {size}"
    low, high = 1 - delta.high, 1 - delta.low
    if delta.verdict in ALIKE:
        return f"{_alike(delta)} ({low:.0%} to {high:.0%} of it)"
    between = f" ({low:.0%} to {high:.0%})" if f"{low:.0%}" != f"{high:.0%}" else ""
    return f"{1 - delta.gain:.0%} of it{between}: {'less' if delta.verdict == 'better' else 'more'}"


def _fidelity(delta: "Delta") -> str:
    low, high = (delta.before * (1 + bound) for bound in (delta.low, delta.high))
    if delta.metric in ("cosine", "sqnr") and delta.after == delta.before:
        return "identical answers"
    if delta.metric != "finite" and not (isfinite(low) and isfinite(high)):
        return _one_unit(delta)
    match delta.metric:
        case "agreement":
            return f"{low:.2%} to {high:.2%} of answers alike"
        case "cosine":
            return f"{low:.5f} to {high:.5f}; 1 is identical"
        case "sqnr":
            error = f"error {10 ** (-delta.after / 20):.1%} of the signal" if delta.after > 0 else "more error than signal"
            return f"{low:.1f} to {high:.1f} dB: {error}"
        case _:
            return "all finite" if delta.after == 1 else "NaN or infinite answers: do not use it"


def _signed(number: float) -> str:
    return f"{number:+.2f}".replace("-", "−")


def warnings_of(report: "Report") -> dict[str, list[str]]:
    """Hints, each with everything that is to be said before it."""
    return by_hint(warned for comparison in report.comparisons for warned in comparison.warnings)


def by_hint(warnings: "Iterable[Warned]") -> dict[str, list[str]]:
    """The same of warnings, each once."""
    found: dict[str, list[str]] = {}
    for warned in dict.fromkeys(warnings):
        found.setdefault(warned.hint, []).append(warned.what)
    return found


def verdict_sentence(verdict: "Verdict") -> str:
    """The verdict on all limits."""
    outcomes = [check.outcome for check in verdict.checks]
    failed, undecided = outcomes.count("failed"), outcomes.count("undecided")
    if failed:
        return f"FAILED: {failed} of {len(outcomes)} limits broken"
    if undecided:
        so = "and --strict takes that for broken" if verdict.outcome == "failed" else "so nothing is proven; --strict would fail it"
        return f"{verdict.outcome.upper()}: {undecided} of {len(outcomes)} limits undecided, {so}"
    return f"PASSED: {len(outcomes)} of {len(outcomes)} limits hold"


def heading(name: str) -> str:
    """A model's name over a column, in lines of HEADING letters that end where a part of the name does."""
    if len(name) <= HEADING:
        return name
    end = max(name.rfind(mark, 1, HEADING + 1) for mark in "._-/")
    end = end if end > 0 else HEADING
    return f"{name[:end]}\n{heading(name[end:])}"


def machine_line(machine: "Machine", devices: Iterable[str]) -> str:
    """What was measured on: `AMD EPYC, 2 cores, onnxruntime 1.31.1`, with its GPUs where not all was measured on the CPU."""
    gpus = [] if set(devices) <= {"cpu"} else machine.gpus
    runtime = f"onnxruntime {machine.versions.get('onnxruntime', '?')}"
    return ", ".join([machine.processor, counted(machine.cores, "core"), *gpus, runtime])
