"""Batches: every example once an epoch, in an order that follows from the seed."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.datasets import Examples
from optkit.errors import DataError, UsageError
from optkit.training.batches import batches_of, make_batch, parts_of

torch = pytest.importorskip("torch")
EXAMPLES = Examples("made", {"x": np.arange(12, dtype=np.float32).reshape(6, 2)}, np.arange(6))


@given(st.integers(2, 400), st.integers(1, 64), st.integers(0, 100), st.integers(1, 50))
def test_every_row_comes_once_and_no_batch_is_a_small_rest(count: int, size: int, seed: int, epoch: int) -> None:
    rows = np.arange(count) * 3
    batches = batches_of(rows, size, seed, epoch)
    assert sorted(np.concatenate(batches)) == list(rows)
    lengths = [len(batch) for batch in batches]
    assert max(lengths) - min(lengths) <= 1
    assert len(batches) == max(1, round(count / size))
    assert all(np.array_equal(a, b) for a, b in zip(batches, batches_of(rows, size, seed, epoch), strict=True))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = {tuple(np.concatenate(batches_of(np.arange(30), 8, seed, epoch))) for seed in (0, 1) for epoch in (1, 2)}
    assert len(orders) == 4


@given(st.integers(0, 20), st.integers(1, 6), st.booleans())
def test_parts_are_the_batch_in_order(count: int, parts: int, whole: bool) -> None:
    rows = np.arange(count)
    found = parts_of(rows, parts, whole)
    assert list(np.concatenate([*found, []])) == list(rows)
    assert len(found) == (count if whole else min(parts, count))


def test_a_batch_holds_the_rows_asked_for() -> None:
    batch = make_batch(EXAMPLES, np.array([4, 1]), "cpu")
    assert batch.inputs["x"].tolist() == [[8, 9], [2, 3]]
    assert batch.labels is not None
    assert (batch.labels.tolist(), len(batch), batch.augmented) == ([4, 1], 2, False)


def test_augmenting_changes_inputs_and_labels_together() -> None:
    def negated(batch: dict[str, Any]) -> dict[str, Any]:
        return {"x": -batch["x"], "labels": batch["labels"] + 10}

    batch = make_batch(EXAMPLES, np.array([2]), "cpu", negated)
    assert batch.labels is not None
    assert (batch.inputs["x"].tolist(), batch.labels.tolist(), batch.augmented) == ([[-4, -5]], [12], True)
    assert EXAMPLES.arrays["x"][2].tolist() == [4, 5]


@pytest.mark.parametrize(
    ("augment", "says"),
    [(lambda batch: {"x": batch["x"]}, "was given x, labels and returned x"), (lambda batch: 1 / 0, "raised ZeroDivisionError")],
)
def test_augmenting_that_fails_is_told(augment: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make_batch(EXAMPLES, np.array([0]), "cpu", augment)


def test_arrays_that_may_not_be_written_to_are_left_alone() -> None:
    image = np.frombuffer(bytes(range(8)), np.uint8).reshape(2, 2, 2)
    batch = make_batch(Examples("made", {"x": image}, whole=True), np.array([1]), "cpu")
    batch.inputs["x"].zero_()
    assert image[1].tolist() == [[4, 5], [6, 7]]


def test_text_is_refused() -> None:
    words = Examples("made", {"x": np.array(["a", "b"])})
    with pytest.raises(DataError, match="which PyTorch does not take"):
        make_batch(words, np.array([0]), "cpu")
