"""What was learned is believed where examples that nothing was learned from agree that it helps."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from optkit.arrays import Array
from optkit.formats.onnx import load_model
from optkit.quantization.choosing.held_out import FEWEST, HeldOut, lesson_of
from optkit.quantization.fidelity.reference import MOST_DECIBELS
from optkit.quantization.variants.learned import Learned
from optkit.quantization.variants.trial import Bench
from optkit.quantization.variants.wishes import Setting
from optkit.runtimes import open_session

from ..tiny import draw, examples, proto_of

WEIGHT = draw(8, 4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path / "float.onnx", WEIGHT)
    return tmp_path


def save(path: Path, weight: Array, squash: str = "Identity") -> Path:
    onnx.save(proto_of(f"(float[N,8] x) => (float[N,4] y) {{ a = MatMul(x, w) y = {squash}(a) }}", w=weight), path)
    return path


def held(folder: Path, rows: Array, name: str = "float.onnx") -> HeldOut:
    path = folder / name
    return HeldOut(load_model(path), open_session(path, "cpu", 1), list(examples(x=rows).feeds(1)), "cpu", 1)


def test_less_noise_on_every_example_is_closer_and_more_is_not(folder: Path) -> None:
    rows = held(folder, draw(12, 8, seed=3))
    noise = draw(8, 4, seed=1)
    far, near = (save(folder / f"{share}.onnx", WEIGHT + share * noise) for share in (np.float32(0.1), np.float32(0.01)))
    assert rows.closer([far], [near])
    assert not rows.closer([near], [far])
    assert not rows.closer([near], [near])
    np.testing.assert_allclose(rows.signal_to_noise(near) - rows.signal_to_noise(far), 20, atol=0.1)
    assert (rows.signal_to_noise(folder / "float.onnx") == MOST_DECIBELS).all()


def test_what_helps_the_hardest_alone_is_not_closer(folder: Path) -> None:
    """One example is all wrong, all others are right; then it is right, and all others are a little wrong."""
    inputs = draw(12, 8, seed=3)
    inputs[:, 7] = 0
    inputs[5, 7] = 100
    start, other = np.zeros((8, 4), np.float32), np.zeros((8, 4), np.float32)
    start[7], start[0], other[0] = 1, 0.001, 0.1
    before, after = save(folder / "before.onnx", WEIGHT + start), save(folder / "after.onnx", WEIGHT + other)
    rows = held(folder, inputs)
    assert not rows.closer([before], [after])
    assert not rows.closer([after], [before])


def test_a_gain_that_may_be_chance_is_not_believed(folder: Path) -> None:
    """Half of the examples gain as much as the other half loses."""
    inputs = np.zeros((16, 8), np.float32)
    inputs[::2, 0] = inputs[1::2, 1] = 1 + draw(8, seed=2) / 10
    one, other = np.zeros((8, 4), np.float32), np.zeros((8, 4), np.float32)
    one[0], one[1], other[0], other[1] = 0.1, 0.001, 0.001, 0.0999
    before, after = save(folder / "before.onnx", WEIGHT + one), save(folder / "after.onnx", WEIGHT + other)
    rows = held(folder, inputs)
    assert abs(rows.signal_to_noise(after).mean() - rows.signal_to_noise(before).mean()) < 1
    assert not rows.closer([before], [after])


def test_few_examples_tell_nothing(folder: Path) -> None:
    near = save(folder / "near.onnx", WEIGHT * np.float32(1.01))
    far = save(folder / "far.onnx", WEIGHT * np.float32(1.1))
    assert not held(folder, draw(FEWEST - 1, 8, seed=3)).closer([far], [near])
    assert held(folder, draw(FEWEST, 8, seed=3)).closer([far], [near])


def test_of_sure_answers_the_logits_are_compared(folder: Path) -> None:
    save(folder / "sure.onnx", 3 * WEIGHT, "Softmax")
    rows = held(folder, draw(12, 8, seed=3), "sure.onnx")
    far, near = (save(folder / f"{f}.onnx", np.float32(3 * f) * WEIGHT, "Softmax") for f in (1.1, 1.01))
    assert -10 * np.log10((10 ** (-rows.signal_to_noise(far) / 10)).mean()) == pytest.approx(20, abs=1)
    assert rows.closer([far], [near])


def test_nothing_is_learned_from_what_is_held_out(folder: Path) -> None:
    every = draw(64, 8, seed=4)
    path = folder / "float.onnx"
    model, judge = load_model(path), lambda *_: (True, None)
    bench = Bench(path, model, Learned(), list(examples(x=every[:8]).feeds(1)), folder, "cpu", 1, 0, judge)
    lesson = lesson_of(bench, examples(x=every[8:]), examples(x=every[:8]), Setting())
    learned = rows_of(lesson.watcher.examples.feeds(1))
    judged = rows_of(lesson.held_out.feeds)
    assert (len(learned), len(judged)) == (42, 8 + 14)
    assert not learned & judged
    assert rows_of(examples(x=every[:8]).feeds(1)) < judged


def rows_of(feeds: Any) -> set[bytes]:
    return {np.asarray(feed["x"]).tobytes() for feed in feeds}


def test_noise_of_an_example_is_held_against_what_varies_between_all(folder: Path) -> None:
    """An output with one number for each example: alone none of them varies."""
    onnx.save(proto_of("(float[N,8] x) => (float[N,1] y) { y = MatMul(x, w) }", w=draw(8, 1)), folder / "float.onnx")
    onnx.save(proto_of("(float[N,8] x) => (float[N,1] y) { y = MatMul(x, w) }", w=draw(8, 1) * 1.1), folder / "near.onnx")
    inputs = draw(12, 8, seed=3)
    found = held(folder, inputs).signal_to_noise(folder / "near.onnx")
    exact = inputs.astype(np.float64) @ draw(8, 1)
    np.testing.assert_allclose(found, -10 * np.log10((0.1 * exact[:, 0]) ** 2 / exact.var()), atol=0.01)


class Told(HeldOut):
    """What each file is said to be worth: dB of each example, and the share of answers lost."""

    def __init__(self, **files: tuple[list[float], float | None]) -> None:
        self.feeds = [{}] * FEWEST
        self.files = files

    def signal_to_noise(self, path: Path) -> Array:
        return np.array(self.files[path.name][0])

    def cost(self, path: Path) -> float | None:
        return self.files[path.name][1]


BEFORE = [20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 10.0]


@pytest.mark.parametrize(
    ("after", "cost", "closer"),
    [
        ([21.0, 19.0, 21.0, 19.0, 21.0, 19.0, 19.0, 10.5], 0.005, True),  # about as far off, and half the answers lost
        ([21.0, 19.0, 21.0, 19.0, 21.0, 19.0, 19.0, 10.5], 0.009, False),
        ([21.0, 19.0, 21.0, 19.0, 21.0, 19.0, 19.0, 10.5], None, False),
        ([21.0, 19.0, 21.0, 19.0, 21.0, 19.0, 19.0, 9.0], 0.005, False),  # further off on the hardest
        ([19.0, 19.0, 19.0, 19.0, 19.0, 19.0, 19.0, 12.0], 0.005, False),  # further off on most
        ([21.0, 21.0, 21.0, 21.0, 21.0, 21.0, 21.0, 11.0], 0.02, True),
    ],
)
def test_answers_decide_where_decibels_leave_it_open(after: list[float], cost: float | None, closer: bool) -> None:
    known = None if cost is None else 0.01
    assert Told(before=(BEFORE, known), after=(after, cost)).closer([Path("before")], [Path("after")]) is closer


def test_the_share_of_answers_lost_is_known_of_answers_alone(folder: Path) -> None:
    save(folder / "sure.onnx", 3 * WEIGHT, "Softmax")
    rows = held(folder, draw(12, 8, seed=3), "sure.onnx")
    noisy = save(folder / "noisy.onnx", 3 * WEIGHT + 2 * draw(8, 4, seed=1), "Softmax")
    assert rows.cost(folder / "sure.onnx") == 0
    assert (rows.cost(noisy) or 0) > 0.01
