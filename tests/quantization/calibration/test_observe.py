"""One pass over the examples, against numpy on the same values."""

import numpy as np
import pytest

from optkit.datasets import Examples
from optkit.quantization.calibration.observe import observe
from optkit.quantization.calibration.watched import with_outputs
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.histogram import Histogram

from ..tiny import answers, draw, examples, read, saved, watcher

MODEL = read("(float[N,6] x) => (float[N,4] y) { r = Relu(x) m = MatMul(r, w) y = Tanh(m) }", w=draw(6, 4))
X = draw(9, 6, seed=2)


def test_histograms_are_those_of_all_values() -> None:
    told: list[tuple[str, int, int]] = []
    seen = observe(MODEL, ["x", "m", "y"], Watcher(examples(x=X), progress=lambda *state: told.append(state)))
    tensors = {"x": X, "m": np.maximum(X, 0) @ draw(6, 4), "y": answers(MODEL, {"x": X})["y"]}
    assert list(seen.histograms) == list(tensors)
    assert seen.examples == 9
    for name, values in tensors.items():
        expected = Histogram()
        expected.add(values)
        found = seen.histograms[name]
        assert (found.total, found.zeros, found.width) == (expected.total, expected.zeros, expected.width)
        np.testing.assert_allclose([found.low, found.high], [expected.low, expected.high], rtol=1e-5)
        if name == "x":
            np.testing.assert_array_equal(found.counts, expected.counts)
    assert told == [("calibrating", i + 1, 9) for i in range(9)]


def test_peaks_per_channel_where_asked_for() -> None:
    seen = observe(MODEL, ["x"], watcher(x=X), channels_of=["m"])
    assert list(seen.histograms) == ["x"]
    assert list(seen.peaks) == ["m"]
    np.testing.assert_allclose(seen.peaks["m"], np.abs(np.maximum(X, 0) @ draw(6, 4)).max(0), rtol=1e-5)


def test_whole_feeds_of_many_sizes_in_turn() -> None:
    model = read("(float[A,B] x, float s) => (float[A,B] y) { y = Mul(x, s) }")
    feeds = Examples("whole", {"x": draw(3, 2, 5), "s": np.array([1, 2, 3], np.float32)}, whole=True)
    seen = observe(model, ["y"], Watcher(feeds))
    expected = draw(3, 2, 5) * np.array([1, 2, 3], np.float32)[:, None, None]
    assert (seen.histograms["y"].low, seen.histograms["y"].high) == (expected.min(), expected.max())


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_what_is_not_finite_is_known(odd: float) -> None:
    x = X.copy()
    x[4, 2] = odd
    seen = observe(MODEL, ["x", "r"], watcher(x=x))
    assert not seen.histograms["x"].finite
    assert seen.histograms["x"].total == X.size - 1


def test_more_outputs_on_a_copy() -> None:
    before = saved(MODEL)
    watched = with_outputs(MODEL, ["m", "y"])
    assert [v.name for v in watched.graph.outputs] == ["y", "m"]
    assert saved(MODEL) == before
