import numpy as np
import onnx
import pytest

from optkit.datasets import Examples
from optkit.runtimes import Session, batch_of, fixed_batch, full_feeds, open_session


def session(batch: str) -> Session:
    return open_session(
        onnx.parser.parse_model(
            f'<ir_version: 8, opset_import: ["" : 17]> g (float[{batch}, 3] x) => (float[{batch}, 3] y) {{ y = Relu(x) }}'
        ).SerializeToString()
    )


X = np.arange(18, dtype=np.float32).reshape(6, 3)


@pytest.mark.parametrize(("batch", "fixed", "lengths"), [("N", None, [1] * 6), ("4", 4, [4, 4]), ("1", 1, [1] * 6)])
def test_feeds_have_the_batch_that_the_model_wants(batch: str, fixed: int | None, lengths: list[int]) -> None:
    opened = session(batch)
    feeds = list(full_feeds(opened, Examples("made", {"x": X})))
    assert (fixed_batch(opened), batch_of(opened)) == (fixed, fixed or 1)
    assert [len(feed["x"]) for feed in feeds] == lengths
    np.testing.assert_array_equal(np.concatenate([feed["x"] for feed in feeds])[:6], X)
    for feed in feeds:
        opened.run(feed)


def test_a_free_batch_is_as_large_as_asked_and_its_last_feed_is_short() -> None:
    assert [len(feed["x"]) for feed in full_feeds(session("N"), Examples("made", {"x": X}), 4)] == [4, 2]


def test_whole_feeds_come_one_by_one() -> None:
    assert [feed["x"].shape for feed in full_feeds(session("2"), Examples("made", {"x": X.reshape(3, 2, 3)}, whole=True))] == [(2, 3)] * 3
