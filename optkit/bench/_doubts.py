"""What a busy machine did to figures: percentiles that it made are left out, and the rest is warned of as `compare` does."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from optkit.compare import Warned
from optkit.compare.timing_doubts import FEW_ROUNDS, LONG, few_rounds, meanwhile, opened_once, slowest_waited, unsteady
from optkit.compare.waiting import is_busy, quantile_name, waited
from optkit.measure import Conditions
from optkit.scenarios import Figure, Outcome, Timed

TAILS = (0.9, 0.95, 0.99, 0.999)
AS_BUSY = "the figures are those of a machine as busy; measure on a quieter one"


def judged(
    names: Sequence[str], outcomes: Sequence[Outcome], conditions: Conditions, place: str, seconds: float
) -> tuple[list[Outcome], tuple[Warned, ...]]:
    """The outcomes of models that took turns, without percentiles that are those of queries which waited for other programs; every doubt.

    `seconds` is what was asked for: who measured for long already is not told to measure longer.
    """
    timed = [(name, each) for name, each in zip(names, outcomes, strict=True) if isinstance(each, Timed)]
    left_out = _left_out([each for _, each in timed], is_busy(conditions))
    hint = AS_BUSY if seconds >= LONG else f"{AS_BUSY}, or longer: --time {LONG:.0f}s"
    warnings = (
        *([slowest_waited(left_out, place)] if left_out else []),
        *(() if conditions.interrupted else opened_once(conditions.openings, place)),  # then there was no time to open them again
        *meanwhile(conditions, place, hint, AS_BUSY),
        *_of_rounds(timed, place, hint),
    )
    return [Outcome(tuple(_kept(each.figures, left_out)), each.notes) for each in outcomes], warnings


def watched(found: Conditions, outcomes: Sequence[Outcome]) -> Conditions:
    """The conditions with what the outcomes know of rounds and openings."""
    timed = [each for each in outcomes if isinstance(each, Timed)]
    rounds = max((sum(map(len, each.rounds.values())) for each in timed), default=0)
    openings = min((each.openings for each in timed if each.openings is not None), default=None)
    return replace(found, rounds=rounds, openings=openings)


def _left_out(timed: Sequence[Timed], busy: bool) -> list[str]:
    """Names of percentiles that are shown of some model and that waiting decides."""
    shown = {figure.name for each in timed for figure in each.figures}
    models = [rounds for each in timed for rounds in each.rounds.values()]
    shares = [at for at in TAILS if f"latency_{quantile_name(at)}" in shown]
    return [quantile_name(at) for at in (waited(models, busy, shares) if shares else ())]


def _kept(figures: Sequence[Figure], left_out: Sequence[str]) -> Iterator[Figure]:
    return (each for each in figures if each.name.removeprefix("latency_") not in left_out)


def _of_rounds(timed: Sequence[tuple[str, Timed]], place: str, hint: str) -> Iterator[Warned]:
    """At each batch size, of the first model that takes it: models take turns, so the others met the same."""
    for batch in dict.fromkeys(batch for _, each in timed for batch in each.rounds):
        name, rounds = next((name, each.rounds[batch]) for name, each in timed if batch in each.rounds)
        at = f"{place} at batch {batch}"
        if len(rounds) < FEW_ROUNDS:
            yield few_rounds(len(rounds), at)
        else:
            yield from unsteady(name, rounds, at, hint)
