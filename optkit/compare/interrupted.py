"""What Ctrl-C left out of a comparison."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from optkit.compare import Delta, Warned
from optkit.samples import kind_of
from optkit.units import counted

if TYPE_CHECKING:
    from optkit.measure import Measurement

TIMES = ("latency_median", "throughput")


def interrupted(found: "Measurement") -> Warned | None:
    """When it was, where it was."""
    when = found.conditions
    if when is None or not when.interrupted:
        return None
    if when.unscored:
        scored = next((len(samples.values) for samples in found.samples if samples.paired_by == "example"), 0)
        what = f"it was interrupted after {scored:,} of {scored + when.unscored:,} examples on {found.device}, before anything was timed"
        return Warned(what, "scores are those of the first ones; where the data is sorted, they are not those of all")
    done = f"after {counted(when.rounds, 'round')}" if when.rounds else "before the first round of timing"
    return Warned(f"it was interrupted {done} on {found.device} at batch {found.batch}", "what was not reached by then is left out")


def left_out_by_then(found: "Measurement", deltas: Sequence[Delta]) -> dict[str, str]:
    """What limits may concern and an interrupted measurement does not have, and why."""
    if found.conditions is None or not found.conditions.interrupted:
        return {}
    there = {"speed" if delta.metric in TIMES else kind_of(delta.metric) for delta in deltas}
    return {kind: "it was interrupted before that was measured" for kind in ("accuracy", "fidelity", "speed") if kind not in there}
