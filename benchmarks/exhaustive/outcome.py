"""What a search found: the best configuration at a given fidelity, and how near optkit's default comes. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

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
    room: float
    """dB to spare until optkit's default would refuse it."""
    size: float
    """Over float32's."""


@dataclass(frozen=True)
class Rival:
    """The fastest of some configurations, raced alone against the default; `share` is the speed of the default over its own."""

    measured: Measured
    share: Interval

    @property
    def reached(self) -> bool:
        return self.share.value >= BAR


@dataclass(frozen=True)
class Outcome:
    """The default beside the best."""

    model: str
    default: Measured | None
    """None where optkit hands nothing over."""
    fastest: Rival | None
    """Of all that the default might have handed over; None where nothing is faithful enough."""
    alike: Rival | None
    """Of those that are as faithful as the default."""
    tried: tuple[Measured, ...]
    failed: int
    """Configurations that ONNX Runtime refuses, or whose answers are broken."""


def leaders(found: Sequence[Measured], count: int, *, room: float = 0.0, sqnr: float = -inf) -> list[Measured]:
    """The fastest that keep the fidelity, fastest first."""
    return sorted((m for m in found if m.room >= room and m.sqnr >= sqnr), key=lambda m: m.ratio.value)[:count]


def frontier(found: Sequence[Measured]) -> list[Measured]:
    """Those than which none is both as fast and as faithful and in one of them better; fastest first."""
    kept: list[Measured] = []
    for each in sorted(found, key=lambda m: (m.ratio.value, -m.sqnr)):
        if not kept or each.sqnr > kept[-1].sqnr:
            kept.append(each)
    return kept


def outcome_text(outcome: Outcome) -> str:
    """Markdown: the verdict, the frontier, and the fastest of every stage."""
    tried = f"{len(outcome.tried)} configurations were measured, {outcome.failed} refused or broken."
    said = [tried, *_verdicts(outcome)]
    lines = [f"## {outcome.model}", "", "\n".join(said), ""]
    lines += ["| configuration | stage | time × | SQNR dB | room dB | size × |", "| --- | --- | --- | --- | --- | --- |"]
    rivals = [r.measured for r in (outcome.fastest, outcome.alike) if r is not None]
    own = [outcome.default] if outcome.default else []
    shown = {m.name: m for m in [*own, *rivals, *frontier(outcome.tried), *_stage_winners(outcome)]}
    lines += [_row(m) for m in sorted(shown.values(), key=lambda m: m.ratio.value)]
    return "\n".join(lines)


def _verdicts(outcome: Outcome) -> list[str]:
    if outcome.fastest is None:
        return ["No configuration is faithful enough and smaller than float32: there is nothing to reach."]
    ours = f"optkit's default ({outcome.default.sqnr:.1f} dB)" if outcome.default else "optkit hands nothing over, and float32"
    said = [f"{ours} {_share(outcome.fastest)} of the speed of the fastest, {_named(outcome.fastest)}."]
    if outcome.alike is not None:
        said.append(f"It {_share(outcome.alike)} of the speed of the fastest that is as faithful, {_named(outcome.alike)}.")
    return said


def _share(rival: Rival) -> str:
    held = "reaches" if rival.reached else "does not reach"
    return f"{held} {BAR:.0%}: it has {rival.share.value:.1%} ({rival.share.low:.1%} to {rival.share.high:.1%})"


def _named(rival: Rival) -> str:
    return f"{rival.measured.name} ({rival.measured.sqnr:.1f} dB)"


def _stage_winners(outcome: Outcome) -> list[Measured]:
    stages = dict.fromkeys(m.stage for m in outcome.tried)
    return [m for stage in stages for m in leaders([t for t in outcome.tried if t.stage == stage], 2)]


def _row(m: Measured) -> str:
    ratio = f"{m.ratio.value:.3f} ({m.ratio.low:.3f} to {m.ratio.high:.3f})"
    return f"| {m.name} | {m.stage} | {ratio} | {m.sqnr:.1f} | {m.room:.1f} | {m.size:.3f} |"
