import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from optkit.datasets import Examples


def examples(count: int, whole: bool = False) -> Examples:
    x = np.arange(count * 6, dtype=np.float32).reshape((count, 2, 3) if whole else (count, 6))
    return Examples("made", {"x": x}, labels=np.arange(count), groups=np.arange(count) // 2, whole=whole)


@given(st.integers(1, 40), st.integers(1, 50))
def test_feeds_give_every_example_once_in_order(count: int, batch: int) -> None:
    made = examples(count)
    parts = [feed["x"] for feed in made.feeds(batch)]
    np.testing.assert_array_equal(np.concatenate(parts), made.arrays["x"])
    assert all(len(part) == batch for part in parts[:-1])


def test_whole_feeds_are_never_batched() -> None:
    assert [feed["x"].shape for feed in examples(3, whole=True).feeds(2)] == [(2, 3)] * 3


@given(st.integers(1, 40), st.integers(1, 50))
def test_spread_takes_distinct_rows_with_both_ends(count: int, wanted: int) -> None:
    taken = examples(count).spread(wanted)
    assert taken.labels is not None
    rows = taken.labels.tolist()
    assert len(rows) == min(count, wanted)
    assert sorted(set(rows)) == rows
    assert rows[0] == 0
    assert wanted == 1 or rows[-1] == count - 1


def test_take_keeps_labels_and_groups_with_their_rows() -> None:
    taken = examples(8).take(np.array([6, 1]))
    assert taken.labels is not None
    assert taken.groups is not None
    assert (taken.labels.tolist(), taken.groups.tolist(), taken.arrays["x"][:, 0].tolist()) == ([6, 1], [3, 0], [36.0, 6.0])


def test_the_digest_sees_values_labels_and_types() -> None:
    made = examples(4)
    others = [
        made.take(np.array([1, 0, 2, 3])),
        Examples("made", made.arrays, made.labels),
        Examples("made", made.arrays, None, made.groups),
        Examples("made", {"x": made.arrays["x"].astype(np.float64)}, made.labels, made.groups),
        Examples("made", {"y": made.arrays["x"]}, made.labels, made.groups),
    ]
    assert made.digest == examples(4).digest
    assert len({made.digest, *(other.digest for other in others)}) == 6


def test_the_digest_does_not_depend_on_the_order_in_memory() -> None:
    made = examples(4)
    turned = Examples("made", {"x": np.asfortranarray(made.arrays["x"])}, made.labels, made.groups)
    assert turned.digest == made.digest
