"""What to divide: the most noise for the time first, and no further than it pays."""

import numpy as np
import pytest

from optkit.quantization.channels.divide import Division
from optkit.quantization.channels.pick_divisions import ENOUGH, Option, pick, pick_within, time_of_division, time_of_product

CHEAP, DEAR = Division(np.ones(4, np.float32)), Division(np.ones(4, np.float32), np.array([1]))
SECONDS = 1e-2


def options(plain: float = 1e-2, cheap: float = 1e-3, dear: float = 1e-4, seconds: float = 1e-4) -> list[Option]:
    return [Option(None, plain, 0.0), Option(CHEAP, cheap, seconds), Option(DEAR, dear, 10 * seconds)]


def test_the_step_that_takes_more_noise_for_its_time_goes_first_and_the_next_only_if_it_pays() -> None:
    assert pick({"a": options()}, {"a": 1.0}, SECONDS) == {"a": DEAR}
    assert pick({"a": options(dear=9e-4)}, {"a": 1.0}, SECONDS) == {"a": CHEAP}
    assert pick({"a": options(cheap=9.99e-3, dear=9.98e-3)}, {"a": 1.0}, SECONDS) == {}


def test_a_layer_whose_noise_does_not_show_is_left_alone() -> None:
    assert pick({"a": options(), "b": options()}, {"a": 1.0, "b": 1e-6}, SECONDS) == {"a": DEAR}


def test_nothing_is_spent_where_all_is_faithful_enough() -> None:
    assert pick({"a": options()}, {"a": 0.9 * ENOUGH / 1e-2}, SECONDS) == {}
    assert set(pick({"a": options()}, {"a": 1.1 * ENOUGH / 1e-2}, SECONDS)) == {"a"}


def test_nothing_to_choose_from() -> None:
    assert pick({}, {}, 0.0) == {}


def test_times_grow_with_what_is_computed() -> None:
    few = time_of_division(CHEAP, 10, [(4, 8)])
    assert few < time_of_division(DEAR, 10, [(4, 8)]) < time_of_division(DEAR, 10, [(4, 8), (4, 8)])
    assert few == pytest.approx(time_of_division(CHEAP, 10, [(4, 8), (4, 8)]))
    assert time_of_product(10, (400, 800)) > 5 * few


def test_time_that_is_of_no_use_for_one_goes_to_another() -> None:
    useless = [Option(CHEAP, 1e-3, 1e-4), Option(None, 1e-3, 0.0)]
    useful = [Option(None, 1e-2, 0.0), Option(DEAR, 1e-4, 1e-4)]
    found = pick_within({"a": useless, "b": useful}, 1e-4)
    assert {name: option.division for name, option in found.items()} == {"a": None, "b": DEAR}


def test_no_more_time_is_spent_than_there_is() -> None:
    held = {name: options() for name in "abc"}
    for seconds, total in ((0.0, 3e-2), (1e-4, 2.1e-2), (3.5e-4, 3e-3), (1.3e-3, 2.1e-3), (1.0, 3e-4)):
        found = pick_within(held, seconds)
        assert sum(option.seconds for option in found.values()) <= seconds + 1e-15
        assert sum(option.error for option in found.values()) == pytest.approx(total)
