"""How long a model made for another device takes there: measured here on the CPU, whose runtime is asked the same things."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from optkit.datasets import Examples
from optkit.errors import NothingPaid
from optkit.formats import read_artifact
from optkit.passes import Job
from optkit.passes._device_speed import BATCH, Speed, device_speed, note_speed, refuse_slow
from optkit.stats.interval import Interval

WIDTH = 256
FASTER, ALIKE, SLOWER = (Interval(value, value - 0.02, value + 0.02) for value in (0.8, 1.05, 1.4))


def chain(path: Path, products: int, rows: str = "N") -> Path:
    body = " ".join(f"a{i + 1} = MatMul(a{i}, w)" for i in range(products - 1))
    text = f"(float[{rows},{WIDTH}] a0) => (float[{rows},{WIDTH}] y) {{ {body} y = MatMul(a{products - 1}, w) }}"
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> chain {text}')
    model.graph.initializer.append(numpy_helper.from_array(np.eye(WIDTH, dtype=np.float32), "w"))
    onnx.save(model, path)
    return path


def job_for(path: Path, count: int = 4) -> Job:
    return Job(read_artifact(path), Examples("made", {"a0": np.ones((count, WIDTH), np.float32)}))


@pytest.mark.slow
def test_half_the_work_is_faster_one_by_one_and_in_batches(tmp_path: Path) -> None:
    whole, half = chain(tmp_path / "whole.onnx", 8), chain(tmp_path / "half.onnx", 2)
    found = device_speed(whole, half, job_for(whole))
    assert found is not None
    assert found.batched is not None
    assert max(found.single.high, found.batched.high) < 1
    assert not found.slower
    turned = device_speed(half, whole, job_for(half))
    assert turned is not None
    assert turned.slower


def test_batches_are_what_the_model_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[int]] = []

    def race(models: list[Path], feeds: list[dict[str, np.ndarray]], **_: object) -> list[Interval]:
        given.append([len(feed["a0"]) for feed in feeds])
        return [ALIKE, FASTER]

    monkeypatch.setattr("optkit.passes._device_speed.race", race)
    free = chain(tmp_path / "free.onnx", 2)
    assert device_speed(free, free, job_for(free)) == Speed(FASTER, FASTER)
    assert given == [[BATCH], [1, 1, 1, 1]]
    fixed = chain(tmp_path / "fixed.onnx", 2, rows="1")
    assert device_speed(fixed, fixed, job_for(fixed)) == Speed(FASTER, None)


@pytest.mark.parametrize(
    ("speed", "slower"),
    [
        (Speed(SLOWER, None), True),
        (Speed(SLOWER, ALIKE), True),
        (Speed(ALIKE, SLOWER), True),
        (Speed(SLOWER, FASTER), False),
        (Speed(FASTER, SLOWER), False),
        (Speed(ALIKE, None), False),
        (Speed(ALIKE, ALIKE), False),
    ],
)
def test_what_is_slower_in_one_way_and_faster_in_none_is_refused(tmp_path: Path, speed: Speed, slower: bool) -> None:
    job = job_for(chain(tmp_path / "m.onnx", 2))
    assert speed.slower == slower
    if slower:
        with pytest.raises(NothingPaid, match="does not pay on cuda"):
            refuse_slow(speed, job.original, "float16", "cuda")
    else:
        refuse_slow(speed, job.original, "float16", "cuda")
    note_speed(speed, job)
    assert job.notes["measured_ratio"][0] == speed.single.value
    assert ("measured_ratio_in_batches" in job.notes) == (speed.batched is not None)
