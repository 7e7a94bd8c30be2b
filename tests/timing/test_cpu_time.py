"""CPU seconds of models that take turns."""

import time
from pathlib import Path

import numpy as np
import pytest

from optkit.timing.cpu_time import CpuTime
from optkit.timing.lanes import Here
from optkit.timing.rounds import time_rounds


def compute(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


@pytest.mark.slow
def test_what_computes_counts_and_what_waits_does_not() -> None:
    lanes = [Here(lambda: [lambda: compute(0.002)]), Here(lambda: [lambda: time.sleep(0.002)])]
    told: list[int] = []
    cpu = CpuTime(lanes, lambda what, done, total: told.append(done))
    times = time_rounds(lanes, seconds=0.2, progress=cpu)
    busy, idle = cpu.per_query(times)
    assert told == list(range(1, len(times[0]) + 1))
    assert [len(busy), len(idle)] == [len(each) for each in times]
    assert min(busy) >= 0.002
    assert np.median(idle) < 0.001


def test_only_blocks_count() -> None:
    lane = Here(lambda: [lambda: compute(0.001)])
    lane.open()
    assert lane.cpu == 0
    lane.block(0, 3)
    assert lane.cpu == pytest.approx(0.003, rel=0.5)


@pytest.mark.slow
def test_a_process_of_its_own_tells_its_own(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    from optkit.timing.own_process import OwnProcess

    given, made = ([helper.make_tensor_value_info(name, TensorProto.FLOAT, [64, 64])] for name in "xy")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "x"], ["y"])], "product", given, made)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "model.onnx")
    lane = OwnProcess(tmp_path / "model.onnx", [{"x": np.ones((64, 64), np.float32)}], "cpu", 1)
    try:
        lane.open()
        times = lane.block(0, 20)
        assert 0 < lane.cpu <= times.sum() * 2 + 0.01
    finally:
        lane.end()
