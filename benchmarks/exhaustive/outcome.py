"""What a search found: the best configuration at a given fidelity, and how near optkit's default comes. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from optkit.stats.interval import Interval

BAR = 0.95
"""Of the speed of the best configuration: what the default must reach."""
AS_FAITHFUL = 0.5
"""dB that a configuration may lie below the default and count as equally faithful."""


@dataclass(frozen=True)
class Measured:
    """One configuration; `ratio` is its time over float32's."""

    name: str
    stage: str
    ratio: Interval
    sqnr: float
    """dB of what varies in the outputs, as optkit judges fidelity."""
    size: float
    """Over float32's."""


@dataclass(frozen=True)
class Outcome:
    """The default beside the best, raced alone; `share` is the speed of the default over that of the best."""

    model: str
    floor: float
    """dB asked for."""
    default: Measured | None
    """None where optkit hands nothing over."""
    best: Measured | None
    """None where nothing keeps the fidelity."""
    share: Interval
    tried: tuple[Measured, ...]
    failed: int
    """Configurations that ONNX Runtime refuses, or whose answers are broken."""

    @property
    def reached(self) -> bool:
        return self.share.value >= BAR


def leaders(found: Sequence[Measured], floor: float, count: int) -> list[Measured]:
    """The fastest that keep the fidelity, fastest first."""
    return sorted((m for m in found if m.sqnr >= floor), key=lambda m: m.ratio.value)[:count]


def frontier(found: Sequence[Measured]) -> list[Measured]:
    """Those than which none is both as fast and as faithful and in one of them better; fastest first."""
    kept: list[Measured] = []
    for each in sorted(found, key=lambda m: (m.ratio.value, -m.sqnr)):
        if not kept or each.sqnr > kept[-1].sqnr:
            kept.append(each)
    return kept


def outcome_text(outcome: Outcome) -> str:
    """Markdown: the verdict, the frontier, and the fastest of every stage."""
    default, best = outcome.default, outcome.best
    said = f"{len(outcome.tried)} configurations were measured, {outcome.failed} refused or broken."
    lines = [f"## {outcome.model}", "", f"Fidelity asked for: {outcome.floor:.0f} dB. {said}", "", _verdict(outcome, default, best), ""]
    lines += ["| configuration | stage | time × | SQNR dB | size × |", "| --- | --- | --- | --- | --- |"]
    shown = {m.name: m for m in [*([default] if default else []), *frontier(outcome.tried), *_stage_winners(outcome)]}
    lines += [_row(m) for m in sorted(shown.values(), key=lambda m: m.ratio.value)]
    return "\n".join(lines)


def _verdict(outcome: Outcome, default: Measured | None, best: Measured | None) -> str:
    if best is None:
        return "No configuration keeps that and is smaller than float32: there is nothing to reach."
    share = f"{outcome.share.value:.1%} ({outcome.share.low:.1%} to {outcome.share.high:.1%})"
    held = "reaches" if outcome.reached else "does not reach"
    ours = f"optkit's default ({default.sqnr:.1f} dB)" if default else "optkit hands nothing over, and float32"
    return f"{ours} has {share} of the speed of the best, {best.name} ({best.sqnr:.1f} dB): it {held} {BAR:.0%}."


def _stage_winners(outcome: Outcome) -> list[Measured]:
    stages = dict.fromkeys(m.stage for m in outcome.tried)
    return [m for stage in stages for m in leaders([t for t in outcome.tried if t.stage == stage], outcome.floor, 2)]


def _row(m: Measured) -> str:
    return f"| {m.name} | {m.stage} | {m.ratio.value:.3f} ({m.ratio.low:.3f} to {m.ratio.high:.3f}) | {m.sqnr:.1f} | {m.size:.3f} |"
