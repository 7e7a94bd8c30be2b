"""The search for the highest rate that holds, without queries."""

from collections.abc import Callable

import pytest

from optkit.scenarios._rates import NEAR, ROUNDING, Rates

TRUE = 1000.0


def searched(start: float, holds: Callable[[float], bool]) -> tuple[Rates, int]:
    rates, tries = Rates(start), 0
    while not rates.is_found and tries < 60:
        rates.note(holds(rates.rate))
        tries += 1
    return rates, tries


@pytest.mark.parametrize("start", [0.02, 0.3, 0.9, 0.999, 1.0, 1.04, 1.6, 4.0, 50.0])
def test_it_ends_on_both_sides_of_the_highest_rate_wherever_it_starts(start: float) -> None:
    rates, tries = searched(start * TRUE, lambda rate: rate <= TRUE)
    assert rates.held <= TRUE < rates.failed
    assert rates.failed <= rates.held * NEAR * ROUNDING
    assert tries <= 25


@pytest.mark.parametrize("stalled", range(8))
def test_one_stall_does_not_make_it_end_lower(stalled: int) -> None:
    asked: list[float] = []

    def holds(rate: float) -> bool:
        asked.append(rate)
        return rate <= TRUE and len(asked) != stalled + 1

    rates, _ = searched(TRUE / 2, holds)
    assert rates.held <= TRUE < rates.failed


def test_two_of_three_tries_decide() -> None:
    held, failed = Rates(TRUE), Rates(TRUE)
    for each in (False, True, True):
        held.note(each)
    for each in (False, True, False):
        failed.note(each)
    assert (held.held, failed.failed) == (TRUE, TRUE)


def test_what_was_answered_bounds_the_next_rate() -> None:
    rates = Rates(50 * TRUE)
    for _ in range(2):
        rates.note(False, answered=TRUE)
    assert rates.rate <= TRUE
