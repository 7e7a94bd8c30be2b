import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from optkit.stats import paired
from optkit.stats.interval import Interval
from optkit.stats.paired import mean_difference, median_difference, summary_difference
from optkit.stats.summaries import summarize
from optkit.stats.summaries.auroc import Auroc


def auroc(values: np.ndarray, labels: np.ndarray) -> float:
    return summarize("auroc", values, labels=labels)


def auroc_difference(before: np.ndarray, after: np.ndarray, labels: np.ndarray, groups: np.ndarray | None = None) -> Interval:
    return summary_difference(Auroc(before, (), labels), Auroc(after, (), labels), len(labels), groups)


def scores(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    before = rng.normal(0.9, 0.1, n)
    return before, before + rng.normal(-0.01, 0.02, n)


def test_independent_examples_give_nearly_the_t_interval() -> None:
    before, after = scores(0, 60)
    found = mean_difference(before, after)
    t = stats.ttest_rel(after, before).confidence_interval()
    width = t.high - t.low
    assert found.value == pytest.approx((after - before).mean())
    assert (found.low, found.high) == pytest.approx((t.low, t.high), abs=0.08 * width)


def test_pairing_keeps_the_interval_narrow_where_examples_differ_much() -> None:
    before, after = scores(0, 200)
    unpaired = mean_difference(np.sort(before), after)
    assert mean_difference(before, after).high - mean_difference(before, after).low < 0.3 * (unpaired.high - unpaired.low)


def test_groups_of_copies_count_once() -> None:
    before, after = scores(1, 30)
    alone = mean_difference(before, after)
    repeated = mean_difference(np.repeat(before, 5), np.repeat(after, 5), np.repeat(np.arange(30), 5))
    assert (repeated.value, repeated.low, repeated.high) == pytest.approx((alone.value, alone.low, alone.high))
    assert mean_difference(np.repeat(before, 5), np.repeat(after, 5)).high < repeated.high


def test_one_group_bounds_nothing() -> None:
    found = mean_difference(np.zeros(5), np.ones(5), np.zeros(5))
    assert (found.value, found.low, found.high) == (1.0, -np.inf, np.inf)


@pytest.mark.slow
def test_many_examples_take_the_normal_interval_which_the_bootstrap_agrees_with(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = scores(2, 3000)
    groups = np.random.default_rng(0).integers(0, 500, 3000)
    for given_groups in (None, groups):
        drawn = mean_difference(before, after, given_groups)
        monkeypatch.setattr(paired, "MANY", 100)
        normal = mean_difference(before, after, given_groups)
        monkeypatch.undo()
        assert (normal.low, normal.high) == pytest.approx((drawn.low, drawn.high), abs=0.06 * (drawn.high - drawn.low))
        assert normal != drawn


def test_median_difference_is_that_of_the_medians() -> None:
    before, after = scores(3, 101)
    found = median_difference(before, after)
    assert found.value == pytest.approx(np.median(after) - np.median(before))
    assert found.low < found.value < found.high < 0.02


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 60))
def test_auroc_is_sklearns_with_ties_and_weights(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    values, labels = rng.integers(0, 6, n) / 5, np.r_[0, 1, rng.integers(0, 2, n - 2)]
    weights = rng.integers(1, 4, n)
    assert auroc(values, labels) == pytest.approx(roc_auc_score(labels, values))
    assert Auroc(values, (), labels).under(weights[None, :])[0] == pytest.approx(roc_auc_score(labels, values, sample_weight=weights))


def test_auroc_of_one_label_is_not_a_number() -> None:
    assert np.isnan(auroc(np.arange(3.0), np.ones(3)))


def test_auroc_difference_sees_a_worse_ranking_and_groups_widen_it() -> None:
    rng = np.random.default_rng(0)
    labels = np.tile([0, 1], 100)
    before = labels + rng.normal(0, 0.7, 200)
    after = labels + rng.normal(0, 1.5, 200)
    found = auroc_difference(before, after, labels)
    assert found.value == pytest.approx(roc_auc_score(labels, after) - roc_auc_score(labels, before))
    assert found.low < found.value < found.high < 0
    copies = auroc_difference(np.repeat(before, 3), np.repeat(after, 3), np.repeat(labels, 3), np.repeat(np.arange(200), 3))
    assert copies.high - copies.low == pytest.approx(found.high - found.low, rel=0.1)


def test_equal_scores_differ_by_exactly_nothing() -> None:
    before, _ = scores(0, 40)
    labels = np.tile([0, 1], 20)
    for found in (mean_difference(before, before), median_difference(before, before), auroc_difference(before, before, labels)):
        assert (found.value, found.low, found.high) == (0, 0, 0)


def test_lengths_that_do_not_pair_are_refused() -> None:
    with pytest.raises(ValueError, match="3 scores before and 2 after"):
        mean_difference(np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match="4 groups for 3 examples"):
        mean_difference(np.zeros(3), np.zeros(3), np.zeros(4))
