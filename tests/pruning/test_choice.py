"""Which units go, from scores alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.errors import UsageError
from optkit.pruning.choice import LEAST_KEPT, Candidates, choose


def layers_of(sizes: list[int], seed: int, step: int = 1) -> list[Candidates]:
    dice = np.random.default_rng(seed)
    return [Candidates(f"l{i}", dice.random(size) + 0.1, step=step) for i, size in enumerate(sizes)]


@given(st.lists(st.integers(8, 60), min_size=1, max_size=5), st.floats(0.05, 0.8), st.integers(0, 99))
def test_the_share_of_all_goes_and_every_layer_keeps_a_tenth(sizes: list[int], ratio: float, seed: int) -> None:
    layers = layers_of(sizes, seed)
    gone = choose(layers, ratio, "global")
    total = sum(map(len, gone))
    assert ratio * sum(sizes) <= total < ratio * sum(sizes) + 1
    assert all(layer.count - len(numbers) >= layer.count * LEAST_KEPT for layer, numbers in zip(layers, gone, strict=True))


@given(st.integers(4, 64), st.integers(1, 16), st.floats(0.1, 0.7), st.sampled_from(["global", "layer"]))
def test_what_stays_is_a_multiple_of_the_step_or_all_and_the_lowest_go(count: int, step: int, ratio: float, scope: str) -> None:
    (layer,) = layers_of([count], 0, step)
    (gone,) = choose([layer], ratio, scope)  # type: ignore[arg-type]
    left = count - len(gone)
    assert left == count or (left > 0 and left % step == 0)
    assert abs(left - count * (1 - ratio)) <= max(step, 1) or left in (count, step)
    stays = np.setdiff1d(np.arange(count), gone)
    assert not len(gone) or layer.scores[gone].max() <= layer.scores[stays].min()


def test_layers_compete_by_scores_relative_to_their_mean() -> None:
    quiet = Candidates("quiet", np.array([1.0, 2, 3, 4]) * 1e-3)
    loud = Candidates("loud", np.array([1.0, 2, 3, 4]))
    assert [list(gone) for gone in choose([quiet, loud], 0.5, "global")] == [[0, 1], [0, 1]]


def test_large_units_count_as_many() -> None:
    heads, channels = Candidates("heads", np.array([1.0, 9, 9, 9]), size=8), Candidates("channels", np.full(32, 1.0))
    gone = choose([heads, channels], 8 / 64, "global")
    assert (list(gone[0]), len(gone[1])) == ([0], 0)


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_a_ratio_that_empties_a_layer_is_refused_with_what_is_possible(scope: str) -> None:
    with pytest.raises(UsageError, match="leaves") as caught:
        choose(layers_of([4, 5], 0), 0.95, scope)  # type: ignore[arg-type]
    hint = str(caught.value.hint)
    most = float(hint.split("at most ")[1].split(",")[0])
    choose(layers_of([4, 5], 0), most, scope)  # type: ignore[arg-type]
