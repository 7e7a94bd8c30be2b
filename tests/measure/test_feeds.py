"""Examples in batches, as models want them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.datasets import Examples
from optkit.errors import UsageError
from optkit.measure.feeds import MOST_MIXED, TIMED, batches_of, check_batch, fitted, timed_feeds, typical_feeds
from optkit.runtimes import Port
from optkit.timing import clocks as _clocks
from optkit.timing import typical as _typical


def numbered(count: int, whole: bool = False) -> Examples:
    return Examples("some.npz", {"x": np.arange(count, dtype=np.float32).reshape(count, 1)}, whole=whole)


@given(count=st.integers(1, 30), batch=st.integers(1, 12), fixed=st.booleans())
def test_batches_cover_every_example_once_in_order(count: int, batch: int, fixed: bool) -> None:
    seen: list[float] = []
    for rows, feed in batches_of(numbered(count), batch, fixed):
        assert len(feed["x"]) == (batch if fixed else rows.stop - rows.start)
        seen += feed["x"][: rows.stop - rows.start].ravel().tolist()
        assert rows.start == len(seen) - (rows.stop - rows.start)
    assert seen == list(range(count))


def test_whole_feeds_come_one_by_one() -> None:
    found = list(batches_of(numbered(3, whole=True), 1, False))
    assert [rows for rows, _ in found] == [slice(0, 1), slice(1, 2), slice(2, 3)]
    assert [feed["x"].tolist() for _, feed in found] == [[0.0], [1.0], [2.0]]


@given(count=st.integers(1, 50), batch=st.integers(1, 12))
def test_timed_feeds_are_full_batches_from_all_over(count: int, batch: int) -> None:
    feeds = timed_feeds(numbered(count), batch)
    assert 1 <= len(feeds) <= TIMED
    assert all(len(feed["x"]) == batch for feed in feeds)
    used = {value for feed in feeds for value in feed["x"].ravel().tolist()}
    assert len(used) == min(count, len(feeds) * batch)
    assert used <= set(range(count))


def test_a_feed_takes_the_precision_of_the_model() -> None:
    ports = [Port("a", "float16", (None,)), Port("b", "int32", (None,)), Port("c", "str", (None,))]
    feed: dict[str, Any] = {"a": np.ones(2, np.float32), "b": np.ones(2, np.int64), "c": np.array(["t"]), "gone": np.ones(1)}
    fit = fitted(feed, ports)
    assert {name: array.dtype.kind + str(array.dtype.itemsize) for name, array in fit.items() if name != "c"} == {"a": "f2", "b": "i4"}
    assert list(fit) == ["a", "b", "c"]
    assert fitted({"a": np.ones(2, np.int64)}, ports)["a"].dtype == np.int64


def test_batch_sizes_that_cannot_be_had(fake_session: Any) -> None:
    made_for_two = fake_session(dict, batch=2)
    with pytest.raises(UsageError, match=r"--batch 1: m\.onnx is made for batches of 2 \(input 'x'\)") as caught:
        check_batch(1, numbered(3), made_for_two, "m.onnx")
    assert str(caught.value.hint).startswith("--batch 2")
    with pytest.raises(UsageError, match=r"whole feeds"):
        check_batch(4, numbered(3, whole=True), fake_session(dict), "m.onnx")
    with pytest.raises(UsageError, match=r"--batch 0"):
        check_batch(0, numbered(3), fake_session(dict), "m.onnx")
    check_batch(2, numbered(3), made_for_two, "m.onnx")


class Clocked:
    """A session that takes as long as an input says, on a clock that only it moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.inputs, self.now = (Port("x", "float32", ("n", 1)),), 0.0
        for module in (_clocks, _typical):
            monkeypatch.setattr(module, "time", self)

    def perf_counter(self) -> float:
        return self.now

    def run(self, feed: Any) -> None:
        self.now += float(feed["x"].sum())


def test_what_is_timed_has_the_mix_of_the_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = np.sort(np.random.default_rng(0).choice([8, 16, 32, 256], 400, p=[0.5, 0.3, 0.15, 0.05])).astype(np.float32)
    examples = Examples("some.npz", {"x": 1e-6 * lengths[:, None]})
    found = typical_feeds(Clocked(monkeypatch), examples, 1, 10.0)  # type: ignore[arg-type]
    timed = [round(float(feed["x"][0, 0]) * 1e6) for feed in found.feeds]
    assert not found.alike
    assert len(timed) == MOST_MIXED
    assert np.mean(timed) == pytest.approx(np.mean(lengths), rel=0.15)
    assert np.median(timed) == np.median(lengths)


def test_where_examples_take_alike_a_few_from_all_over_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = Examples("some.npz", {"x": np.linspace(1e-4, 1.1e-4, 30, dtype=np.float32)[:, None]})
    found = typical_feeds(Clocked(monkeypatch), examples, 2, 10.0)  # type: ignore[arg-type]
    assert found.alike
    assert [feed["x"].tolist() for feed in found.feeds] == [feed["x"].tolist() for feed in timed_feeds(examples, 2)]


def test_in_a_short_time_few_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """However fast they are: in each round every one takes a block."""
    examples = Examples("some.npz", {"x": np.geomspace(1e-6, 1e-5, 30, dtype=np.float32)[:, None]})
    assert [len(typical_feeds(Clocked(monkeypatch), examples, 1, time).feeds) for time in (0.1, 1.0, 10.0)] == [3, 5, 15]  # type: ignore[arg-type]
