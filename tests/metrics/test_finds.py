"""Agreement of what is found, held against scikit-learn's F1."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.arrays import Array
from optkit.errors import DataError, UsageError
from optkit.metrics._finds import Finds
from optkit.quantization.fidelity.score_channels import HIGH, ScoreChannels
from optkit.stats.summaries import summarize

f1_score = pytest.importorskip("sklearn.metrics").f1_score
ALL = ScoreChannels(-1, np.ones(3, bool), np.zeros(3, bool))


def pooled(metric: Finds, got: dict[str, Array], truth: dict[str, Array]) -> float:
    parts = metric.parts(got, None, truth)
    return summarize(metric.summary, metric.alone(parts), parts)


@given(seed=st.integers(0, 1000), examples=st.integers(1, 6), places=st.integers(1, 9))
def test_it_is_f1_over_all_examples(seed: int, examples: int, places: int) -> None:
    dice = np.random.default_rng(seed)
    truth, got = dice.uniform(0, 0.6, (2, examples, places, 3)).astype(np.float32)
    if not (truth > HIGH).any() and not (got > HIGH).any():
        return
    wanted = f1_score((truth > HIGH).ravel(), (got > HIGH).ravel())
    assert pooled(Finds({"y": ALL}), {"y": got}, {"y": truth}) == pytest.approx(wanted)


def test_scores_of_several_outputs_count_together() -> None:
    high, low = np.full((1, 4, 3), 0.9, np.float32), np.zeros((1, 4, 3), np.float32)
    metric = Finds({"a": ALL, "b": ALL})
    assert pooled(metric, {"a": high, "b": low}, {"a": high, "b": high}) == pytest.approx(2 * 12 / (24 + 12))


def test_an_example_without_finds_agrees() -> None:
    none = np.zeros((2, 4, 3), np.float32)
    metric = Finds({"y": ALL})
    assert metric.score({"y": none}, None, {"y": none}).tolist() == [1, 1]


def test_what_cannot_be_held_against_each_other_is_said() -> None:
    metric = Finds({"y": ALL})
    here = np.zeros((2, 4, 3), np.float32)
    with pytest.raises(DataError, match="needs the outputs of the original"):
        metric.score({"y": here})
    with pytest.raises(UsageError, match="does not have"):
        metric.score({"z": here}, None, {"y": here})
    with pytest.raises(DataError, match="cannot be compared"):
        metric.score({"y": here[:, :2]}, None, {"y": here})
