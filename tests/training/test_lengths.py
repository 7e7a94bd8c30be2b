"""Texts of like length come together, and a batch is no longer than its longest; nothing that is seen is cut off."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.datasets import Examples
from optkit.errors import DataError, UsageError
from optkit.training.batches import batches_of, make_batch
from optkit.training.lengths import lengths_of
from optkit.training.teachers import Remembering, Taught

torch = pytest.importorskip("torch")


def texts(lengths: list[int], longest: int = 9, labels: Any = None) -> Examples:
    mask = (np.arange(longest) < np.array(lengths)[:, None]).astype(np.int64)
    ids = np.arange(1, mask.size + 1).reshape(mask.shape) * mask
    return Examples("made", {"ids": ids, "mask": mask, "score": np.ones((len(lengths), 4), np.float32)}, labels)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=300), st.integers(1, 16), st.integers(1, 9))
def test_every_text_comes_once_and_whole_beside_texts_of_like_length(lengths: list[int], size: int, epoch: int) -> None:
    examples = texts(lengths)
    known = lengths_of(examples, "mask")
    assert known is not None
    assert known.tolist() == [max(1, length) for length in lengths]
    batches = batches_of(np.arange(len(lengths)), size, 5, epoch, known)
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    assert {len(batch) for batch in batches} <= {len(batches[0]) + i for i in (-1, 0, 1)}
    for rows in batches:
        batch = make_batch(examples, rows, "cpu", mask="mask")
        assert batch.inputs["ids"].shape == batch.inputs["mask"].shape == (len(rows), known[rows].max())
        assert batch.inputs["ids"].sum() == examples.arrays["ids"][rows].sum()
        assert batch.inputs["score"].shape[1] == 4


def test_batches_are_shorter_than_by_chance_and_their_order_is_by_chance() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 2000)
    rows = np.arange(2000)
    total = {
        name: sum(int(lengths[batch].max()) * len(batch) for batch in batches_of(rows, 20, 0, 1, known))
        for name, known in {"alike": lengths, "chance": None}.items()
    }
    assert total["alike"] < 1.1 * lengths.sum()
    assert total["chance"] > 1.8 * lengths.sum()
    longest = [int(lengths[batch].max()) for batch in batches_of(rows, 20, 0, 1, lengths)]
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.4
    first, second = (batches_of(rows, 20, 0, epoch, lengths) for epoch in (1, 2))
    assert {tuple(sorted(batch)) for batch in first} != {tuple(sorted(batch)) for batch in second}


def test_labels_of_tokens_are_cut_along_and_labels_of_texts_are_not() -> None:
    of_tokens = make_batch(texts([2, 3], labels=np.arange(18).reshape(2, 9)), np.array([0, 1]), "cpu", mask="mask").labels
    of_texts = make_batch(texts([2, 3], labels=np.array([4, 5])), np.array([0, 1]), "cpu", mask="mask").labels
    assert of_tokens is not None
    assert of_texts is not None
    assert of_tokens.tolist() == [[0, 1, 2], [9, 10, 11]]
    assert of_texts.tolist() == [4, 5]


class Asked:
    """Answers with one number for each text, or for each token."""

    def __init__(self, of_tokens: bool) -> None:
        self.of_tokens, self.shapes = of_tokens, list[tuple[int, ...]]()

    def __call__(self, batch: Any) -> Taught:
        ids = batch.inputs["ids"]
        self.shapes.append(tuple(ids.shape))
        return Taught({"y": ids * 2.0 if self.of_tokens else ids.sum(1, keepdim=True)})

    def to(self, device: str) -> None:
        raise AssertionError(device)


@pytest.mark.parametrize("of_tokens", [False, True])
def test_a_teacher_is_remembered_where_its_answers_do_not_follow_the_length(of_tokens: bool) -> None:
    examples = texts([5, 9, 1, *[9] * 100])
    teacher = Asked(of_tokens)
    remembering = Remembering(teacher, examples, "mask")
    remembering.remember("cpu", lambda *told: None)
    assert bool(remembering.known) is not of_tokens
    assert teacher.shapes[0] == (1, 1), "the shortest comes first, and alone"
    rows = np.array([2, 0])
    batch = make_batch(examples, rows, "cpu", mask="mask")
    assert torch.equal(remembering(batch).outputs["y"], Asked(of_tokens)(batch).outputs["y"])


@pytest.mark.parametrize(
    ("examples", "mask", "kind", "told"),
    [
        (texts([2]), "masks", UsageError, "no input 'masks'"),
        (Examples("made", {"mask": np.array([[0, 1, 1], [1, 1, 1]])}), "mask", DataError, "is 0 at the front"),
        (Examples("made", {"mask": np.ones((2, 3, 4))}), "mask", DataError, r"is not \[examples, length\]"),
        (Examples("made", {"mask": np.ones((2, 3))}, whole=True), "mask", DataError, r"is not \[examples, length\]"),
    ],
)
def test_what_is_no_mask_is_told(examples: Examples, mask: str, kind: type[Exception], told: str) -> None:
    with pytest.raises(kind, match=told):
        lengths_of(examples, mask)
