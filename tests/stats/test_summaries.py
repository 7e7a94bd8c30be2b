"""Summaries that are no means: under weights they are what they are of repeated examples, and the bootstrap holds what it claims."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from optkit.arrays import Array
from optkit.registry import members
from optkit.stats import paired
from optkit.stats.interval import chance_of
from optkit.stats.paired import mean_difference, summary_difference
from optkit.stats.summaries import Rows, Summary, make_summary, summarize

Maker = Callable[[np.random.Generator, int], tuple[Array, list[Array], Array]]


def pairs(rng: np.random.Generator, n: int) -> tuple[Array, list[Array], Array]:
    x = rng.integers(0, 9, n) / 3
    return x, list(np.stack([x, x + rng.integers(0, 6, n) / 3], axis=1)), np.empty(0)


def counted(rng: np.random.Generator, n: int) -> tuple[Array, list[Array], Array]:
    picked = [rng.permutation(5)[: rng.integers(0, 4)] for _ in range(n)]
    rows = [np.array([[c, *rng.integers(0, 4, 3)] for c in names], float).ravel() for names in picked]
    return np.zeros(n), rows, np.empty(0)


def ranked(rng: np.random.Generator, n: int) -> tuple[Array, list[Array], Array]:
    return rng.integers(0, 5, n) / 4, [], np.r_[0, 1, rng.integers(0, 2, n - 2)]


def detected(rng: np.random.Generator, n: int) -> tuple[Array, list[Array], Array]:
    rows = []
    for _ in range(n):
        names = rng.permutation(3)[: rng.integers(0, 3)]
        truth = [[c, rng.integers(1, 4)] for c in names]
        scores = rng.permutation(6)[: rng.integers(0, 5)]  # different ones: of equal scores in one example the copies would interleave
        found = [[(1 + score) / 6, rng.integers(0, 3), (1 << rng.integers(0, 11)) - 1] for score in scores]
        rows.append(np.array([len(names), *np.ravel(truth), *np.ravel(found)], float))
    return np.zeros(n), rows, np.empty(0)


MAKERS: dict[str, Maker] = {
    "auroc": ranked,
    "average_precision": detected,
    "average_precision_50": detected,
    "f1_macro": counted,
    "f1_micro": counted,
    "mean_iou": counted,
    "pearson": pairs,
    "perplexity": pairs,
    "ratio": pairs,
    "spearman": pairs,
}


def test_every_summary_is_tested() -> None:
    assert set(MAKERS) == set(members("stats.summaries"))


@pytest.mark.slow
@pytest.mark.parametrize("word", MAKERS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(2, 15))
def test_weights_are_repeated_examples(word: str, seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    values, parts, labels = MAKERS[word](rng, n)
    weights = rng.integers(0, 3, (4, n))
    weights[:, 0] = 1
    found = make_summary(word, values, parts, labels).under(weights)
    for row, number in zip(weights, found, strict=True):
        again = np.repeat(np.arange(n), row)
        rows = [parts[i] for i in again] if parts else []
        expected = summarize(word, values[again], rows, labels[again] if len(labels) else labels)
        assert number == pytest.approx(expected, nan_ok=True, abs=1e-9)


@pytest.mark.parametrize("word", ["pearson", "spearman"])
def test_correlations_are_scipys(word: str) -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(0, 20, 100) + 1e6
    y = x + rng.normal(0, 5, 100).round()
    expected = {"pearson": stats.pearsonr, "spearman": stats.spearmanr}[word](x, y).statistic
    assert summarize(word, x, np.stack([x, y], axis=1)) == pytest.approx(expected, rel=1e-9)
    assert np.isnan(summarize(word, x, np.stack([x, np.ones(100)], axis=1)))


def test_the_bootstrap_of_a_ratio_with_equal_sizes_is_that_of_the_mean() -> None:
    rng = np.random.default_rng(0)
    before, after = rng.poisson(3, 200).astype(float), rng.poisson(4, 200).astype(float)
    groups = rng.integers(0, 60, 200)
    for given_groups in (None, groups):
        made = [make_summary("ratio", each, np.stack([each, np.ones(200)], axis=1)) for each in (before, after)]
        found, mean = summary_difference(made[0], made[1], 200, given_groups), mean_difference(before, after, given_groups)
        assert (found.value, found.low, found.high) == pytest.approx((mean.value, mean.low, mean.high))
        assert chance_of(found, 200) == pytest.approx(chance_of(mean, 200))


@pytest.mark.parametrize("word", ["f1_macro", "ratio", "pearson"])
def test_the_jackknife_of_many_agrees_with_the_bootstrap(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    made = [make_summary(word, *parts_of(word, rng, noise)) for noise in (0.3, 0.5)]
    drawn = summary_difference(made[0], made[1], 2000)
    monkeypatch.setattr(paired, "MANY", 100)
    monkeypatch.setattr(paired, "AT_ONCE", 3000)
    found = summary_difference(made[0], made[1], 2000)
    assert found.value == drawn.value
    assert (found.low, found.high) == pytest.approx((drawn.low, drawn.high), abs=0.08 * (drawn.high - drawn.low))


def parts_of(word: str, rng: np.random.Generator, noise: float, n: int = 2000) -> tuple[Array, Rows]:
    """Of so many examples the parts, made with so much noise."""
    if word == "pearson":
        x = rng.normal(size=n)
        return x, np.stack([x + noise * rng.normal(size=n), x], axis=1)
    if word == "ratio":
        lengths = rng.integers(1, 9, n)
        return np.zeros(n), np.stack([rng.binomial(lengths, noise), lengths], axis=1)
    truth = rng.integers(0, 4, n)
    found = np.where(rng.random(n) < noise, rng.integers(0, 4, n), truth)
    right = found == truth
    rows = [[t, 1, 0, 0] if r else [t, 0, 0, 1, f, 0, 1, 0] for t, f, r in zip(truth, found, right, strict=True)]
    return np.zeros(n), rows


@pytest.mark.slow
@pytest.mark.parametrize("word", ["f1_macro", "pearson", "ratio"])
def test_intervals_hold_the_true_difference_as_often_as_they_claim(word: str) -> None:
    """200 data sets of 120 examples from known worlds; 95 % is claimed, and chance alone leaves 91 % to 98 %."""
    rng = np.random.default_rng(11)
    truth = [summarize(word, *parts_of(word, np.random.default_rng(7), noise, 60_000)) for noise in (0.3, 0.4)]
    covered = 0
    for _ in range(200):
        made: list[Summary] = [make_summary(word, *parts_of(word, rng, noise, 120)) for noise in (0.3, 0.4)]
        for each in made:
            type(each).draws = 500
        found = summary_difference(made[0], made[1], 120, seed=int(rng.integers(10**6)))
        covered += found.low <= truth[1] - truth[0] <= found.high
        del type(made[0]).draws
    assert 0.91 * 200 <= covered <= 0.985 * 200


def test_draws_without_such_a_number_are_left_out() -> None:
    made = [make_summary("auroc", np.arange(4.0) + tilt, labels=np.array([0, 0, 0, 1])) for tilt in (0, np.array([0, 0, 9, 0]))]
    found = summary_difference(made[0], made[1], 4)
    assert found.value == pytest.approx(-1 / 3)
    assert np.isfinite([found.low, found.high]).all()
