"""Answers of another length than the original's."""

import numpy as np

from optkit.quantization.fidelity.lengths import as_long, varying_axes

from ..tiny import draw


def test_axes_that_vary_are_those_whose_size_differs_between_examples() -> None:
    answers = [{"y": draw(1, n, 4), "state": draw(2, 3), "rank": draw(*[2] * n)} for n in (3, 5)]
    assert varying_axes(answers) == {"y": frozenset({1}), "state": frozenset()}
    assert varying_axes([]) == {}


def test_rows_beyond_the_end_are_cut_and_missing_ones_are_zeros() -> None:
    truth, axes = {"y": draw(1, 4, 3)}, {"y": frozenset({1})}
    longer, shorter = draw(1, 6, 3, seed=1), draw(1, 2, 3, seed=2)
    assert np.array_equal(as_long({"y": longer}, truth, axes)["y"], longer[:, :4])
    fitted = as_long({"y": shorter}, truth, axes)["y"]
    assert fitted.shape == (1, 4, 3)
    assert np.array_equal(fitted[:, :2], shorter)
    assert not fitted[:, 2:].any()


def test_a_size_that_never_varies_stays_wrong() -> None:
    truth, axes = {"y": draw(1, 4, 3)}, {"y": frozenset({1})}
    for wrong in (draw(1, 4, 2), draw(1, 5, 2), draw(4, 3)):
        assert as_long({"y": wrong}, truth, axes)["y"] is wrong
    assert as_long({"y": draw(1, 5, 3)}, truth, {})["y"].shape == (1, 5, 3)
