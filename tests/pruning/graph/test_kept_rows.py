"""Layers with very many weights: solved from kept rows they come to the same numbers as from moments."""

from typing import Any

import numpy as np
import pytest

from optkit.arrays import Array
from optkit.datasets import Examples
from optkit.pruning.graph import kept_rows
from optkit.pruning.graph.cut_out import cut_out
from optkit.pruning.graph.groups import find_groups
from optkit.pruning.graph.kept_rows import KeptRows, change_and_bias, rows_for
from optkit.pruning.graph.moments import LARGEST
from optkit.pruning.graph.refit import RIDGES, best_change, refit
from optkit.quantization.calibration.watched import open_watched
from optkit.quantization.calibration.watcher import Watcher

Build = Any


def _moments(rows: KeptRows, *, centred: bool) -> tuple[Array, Array]:
    x, y = rows.x.astype(np.float64), rows.y
    if centred:
        x, y = x - x.mean(0), y - y.mean(0)
    return (x.T @ x / len(x))[None], (y.T @ x / len(x))[None]


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("count", [30, 200])
def test_it_is_the_ridge_regression_of_moments(count: int, centred: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_rows, "AT_ONCE", 7)
    draw = np.random.default_rng(count)
    x = (draw.normal(size=(count, 40)) + 1).astype(np.float32)
    y = x @ draw.normal(size=(40, 3)) + 5 + draw.normal(size=(count, 3))
    one, other = KeptRows(x[: count // 2], y[: count // 2]), KeptRows(x[count // 2 :], y[count // 2 :])
    had = draw.normal(size=(3, 40))
    change, lacking = change_and_bias(had, one, other, RIDGES, centred=centred)
    expected = best_change(had[None], *(_moments(each, centred=centred) for each in (one, other, KeptRows(x, y))))[0]
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(change, expected, atol=1e-6)
    np.testing.assert_allclose(lacking, y.mean(0) - (had + change) @ x.mean(0), atol=1e-4)


def test_nothing_is_learned_where_halves_disagree() -> None:
    draw = np.random.default_rng(0)
    x, had = draw.normal(size=(8, 50)).astype(np.float32), draw.normal(size=(2, 50))
    y = x @ had.T
    y[:4] += 3 * draw.normal(size=(4, 2))
    y[4:] -= 3 * draw.normal(size=(4, 2))
    change, _ = change_and_bias(had, KeptRows(x[:4], y[:4]), KeptRows(x[4:], y[4:]), RIDGES, centred=True)
    assert not change.any()


def test_rows_of_the_widest_layers_fit_into_memory() -> None:
    for columns in (5_000, 25_088, 1 << 19):
        assert 256 <= rows_for(columns) <= 2048
        assert rows_for(columns) * columns * 4 <= 1 << 29


@pytest.mark.slow
def test_a_layer_of_many_weights_per_output_is_solved_again(net: Build) -> None:
    """Of eight channels two say all: behind Flatten a matrix of more than 4,608 rows makes up for four that go."""
    made = net(("N", 2, 25, 25), seed=3)
    draw = np.random.default_rng(3)
    mixed = draw.normal(size=(8, 2, 1, 1)).astype(np.float32)
    wide = made.add("Flatten", made.add("Conv", "x", made.constant(mixed)))
    model = made.model(made.add("Gemm", wide, made.constant(draw.normal(size=(8 * 625, 3)).astype(np.float32) / 70), made.weight(3)))
    assert LARGEST < 8 * 625
    found = find_groups(model)
    units = found.families[0].units
    few = draw.normal(size=(160, 6))  # what examples show lies in few directions, as real ones do
    x = (few @ draw.normal(size=(6, 2 * 625))).reshape(-1, 2, 25, 25).astype(np.float32)
    feeds, unseen = Examples("made up", {"x": x[:128]}), {"x": x[128:]}
    gone = units[:2]
    cut = cut_out(model, found, gone)
    wanted = open_watched(model, 1).run(unseen)
    plain = _apart(wanted, open_watched(cut, 1).run(unseen))
    done = refit(cut, model, found, gone, Watcher(feeds), work=1000)
    assert done.layers == 1
    assert done.short_of_rows
    assert plain > 0.05
    assert _apart(wanted, open_watched(cut, 1).run(unseen)) < plain / 20


def _apart(one: Any, other: Any) -> float:
    a, b = (np.asarray(next(iter(each.values())), np.float64) for each in (one, other))
    return float(((a - b) ** 2).sum() / (a**2).sum())
