"""Noise against what varies, by groups of channels of like size."""

import numpy as np
import pytest

from optkit.arrays import Array
from optkit.quantization.fidelity.channel_noise import ChannelNoise, varying_share

from ..tiny import draw


def ratio(truth: np.ndarray, got: np.ndarray, parts: int = 1, *, alike: bool = False) -> float:
    noise = ChannelNoise(alike=alike)
    for one, other in zip(np.split(truth, parts), np.split(got, parts), strict=True):
        noise.add(one, other)
    return noise.ratio()


def test_examples_may_come_in_any_number_of_parts() -> None:
    truth = draw(12, 5, seed=1).astype(float)
    got = truth + draw(12, 5, seed=2, scale=0.1)
    assert ratio(truth, got, 1) == pytest.approx(ratio(truth, got, 6), rel=1e-9)


def test_small_numbers_beside_large_ones_are_judged_apart() -> None:
    """A detector whose scores are all lost keeps its boxes, and a cosine of .999."""
    boxes, scores = 200 * draw(1, 4, 500, seed=1), 0.02 * draw(1, 80, 500, seed=2)
    truth = np.concatenate([boxes, scores], axis=1).astype(float)
    got = truth.copy()
    got[:, 4:] = 0
    assert (truth * got).sum() / np.sqrt((truth**2).sum() * (got**2).sum()) > 0.999
    assert ratio(truth, got) == pytest.approx(1, abs=0.01)
    assert ratio(np.moveaxis(truth, 1, 2), np.moveaxis(got, 1, 2)) == pytest.approx(1, abs=0.01)  # channels last


def test_classes_are_of_one_kind_however_rare() -> None:
    truth = draw(50, 10, seed=1).astype(float) * np.array([1.0] * 9 + [1e-3])
    got = truth + draw(50, 10, seed=2, scale=1e-3)
    assert ratio(truth, got) > 0.5  # the small channel is drowned
    assert ratio(truth, got, alike=True) < 1e-5


def test_a_large_part_that_is_always_there_hides_nothing() -> None:
    """Embeddings share a mean: at a cosine of .998 what tells them apart can be lost."""
    truth = 10 + draw(40, 16, seed=1).astype(float) * 0.5
    got = np.full_like(truth, 10.0)
    assert ratio(truth, got) == pytest.approx(1, abs=0.1)


def test_dead_channels_and_lone_ones_do_not_decide() -> None:
    truth = draw(30, 100, seed=1).astype(float)
    truth[:, 0] = 1e-9 * truth[:, 0]
    truth[:, 1] = 1e-2 * truth[:, 1]
    got = truth.copy()
    got[:, :2] += 0.01
    assert ratio(truth, got) < 1e-4


@pytest.mark.parametrize(("mean", "decides"), [(4.0, False), (0.0, True)])
def test_a_channel_that_always_says_the_same_is_no_group(mean: float, decides: bool) -> None:
    truth = draw(400, 8, seed=1).astype(float)
    truth[:, 7] = mean + 0.02 * truth[:, 7]
    got = truth.copy()
    got[:, 7] += draw(400, seed=2, scale=0.02)
    assert (ratio(truth, got) > 0.5) is decides


def test_a_single_value_is_held_against_its_energy() -> None:
    assert ratio(np.array([[2.0]]), np.array([[1.0]])) == pytest.approx(0.25)
    assert ratio(np.array([[0.0]]), np.array([[0.0]])) == 0
    assert ratio(np.array([[0.0]]), np.array([[1.0]])) == np.inf


def test_lengths_that_differ_between_examples_are_no_channels() -> None:
    noise = ChannelNoise()
    for length, seed in ((5, 1), (7, 2)):
        truth = draw(1, length, 4, seed=seed).astype(float)
        noise.add(truth, truth * 1.1)
    assert set(noise.sums) == {2}
    assert noise.ratio() == pytest.approx(0.01, rel=0.3)


def test_other_shapes_and_infinite_truths() -> None:
    assert ratio(np.ones((2, 3)), np.ones((2, 4))) == np.inf
    truth = draw(4, 3, seed=1).astype(float)
    got = truth.copy()
    truth[0, 0] = got[0, 0] = -np.inf
    assert ratio(truth, got) == 0


@pytest.mark.parametrize("size", [1e-30, 1e-13, 1e14, 1e30])
def test_the_size_of_all_numbers_does_not_matter(size: float) -> None:
    truth, wrong = draw(12, 5, seed=1).astype(np.float32), draw(12, 5, seed=2, scale=0.01).astype(np.float32)
    scaled = ratio((truth * np.float32(size)).astype(np.float32), ((truth + wrong) * np.float32(size)).astype(np.float32))
    assert scaled == pytest.approx(ratio(truth, truth + wrong), rel=1e-3)


def test_a_number_alone_is_compared_too() -> None:
    noise = ChannelNoise()
    for truth, got in ((1.0, 1.1), (-2.0, -2.0)):
        noise.add(np.asarray(truth, np.float32), np.asarray(got, np.float32))
    assert noise.ratio() == pytest.approx(0.01 / 4.5, rel=1e-5)  # the two differ by 3


def maps(move: int, seed: int = 0) -> list[Array]:
    """A mark in each of four channels, at most `move` places from where it is in the other examples."""
    rng = np.random.default_rng(seed)
    rows = np.arange(32)[:, None]
    found = []
    for _ in range(24):
        at = np.array([8, 12, 20, 24]) + (rng.integers(-move, move + 1, 4) if move else 0)
        peak = np.exp(-(((rows - at) / 2.0) ** 2)).T
        found.append((peak[None, :, :, None] * peak[None, :, None, :]).astype(np.float32))
    return found


def test_what_lies_at_the_same_place_in_every_map_says_little() -> None:
    shares = [varying_share(maps(move)) for move in (0, 1, 8)]
    assert shares[0] == 1.0  # nothing varies, so nothing is known
    assert shares[1] < 0.5 < shares[2]


@pytest.mark.parametrize("shape", [(1, 6), (1, 8, 6), (1, 3, 20, 20), (1, 20, 20, 3)])
def test_numbers_without_a_pattern_of_their_own_vary_in_full(shape: tuple[int, ...]) -> None:
    scale = np.array([1.0, 5.0, 0.1])
    by_channel = scale[:, None, None] if shape[1] == 3 else scale if shape[-1] == 3 else 1.0
    assert varying_share([draw(*shape, seed=i) * by_channel + 7 for i in range(40)]) == pytest.approx(1, abs=0.02)


def test_of_few_maps_or_maps_of_several_sizes_nothing_is_said() -> None:
    assert varying_share(maps(1)[:7]) == 1.0
    assert varying_share([*maps(1), maps(1)[0][:, :, :-1]]) == 1.0
    assert varying_share([]) == 1.0


def test_states_side_by_side_are_no_map() -> None:
    fixed = draw(1, 2, 128, 2, seed=99, scale=3)
    assert varying_share([fixed + draw(1, 2, 128, 2, seed=i) for i in range(24)]) == 1.0


@pytest.mark.parametrize("shape", [(), (1,), (3,)])
def test_a_number_for_each_example_is_held_against_how_it_differs_between_them(shape: tuple[int, ...]) -> None:
    """A grade from 1 to 5, of which most are about 4: what all have in common tells nothing."""
    truth = 4 + draw(40, *shape, seed=1, scale=0.5).astype(float)
    got = truth + draw(40, *shape, seed=2, scale=0.1)
    varies = np.square(truth - truth.mean(0)).sum()
    assert ratio_of_rows(truth, got) == pytest.approx(np.square(got - truth).sum() / varies, rel=0.2)


def ratio_of_rows(truth: Array, got: Array) -> float:
    noise = ChannelNoise()
    for one, other in zip(truth, got, strict=True):
        noise.add(np.asarray(one), np.asarray(other))
    return noise.ratio()
