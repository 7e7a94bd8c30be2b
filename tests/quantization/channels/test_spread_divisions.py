"""Time for outlier channels goes to where it shows, and no more of it than is given."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from optkit.arrays import Array
from optkit.quantization.channels.divide import Division
from optkit.quantization.channels.pick_divisions import time_of_division
from optkit.quantization.channels.spread_divisions import Spread, spread_divisions
from optkit.quantization.variants.build import build
from optkit.quantization.variants.learned import Learned
from optkit.quantization.variants.treatment import Treatment, Way

from ..tiny import answers, draw, proto_of, watcher

WIDE = 64
NETWORK = "(float[N,6,64] x) => (float[N,6,8] y) { a = MatMul(x, w) r = Relu(a) s = Mul(r, k) y = MatMul(s, v) }"


def network() -> onnx.ModelProto:
    """Some channels of what the second product reads are far larger than the rest, and their weights smaller."""
    k = np.where(np.arange(WIDE) % 16 == 0, 60, 1).astype(np.float32)
    return proto_of(NETWORK, w=draw(WIDE, WIDE, scale=0.1), k=k, v=draw(WIDE, 8, seed=1))


ROWS = draw(24, 6, WIDE, seed=5)


def spread(folder: Path, held: dict[str, Division]) -> tuple[ir.Model, Spread]:
    path = folder / "original.onnx"
    onnx.save(network(), path)
    model = ir.from_proto(network())
    nodes = [n for n in model.graph if n.op_type == "MatMul"]
    found = spread_divisions(path, model, nodes, held, watcher(x=ROWS))
    assert found is not None
    return model, found


def noise(model: ir.Model, divisions: dict[str, Division]) -> float:
    made = build(model, Treatment("dynamic", {"a": Way.DYNAMIC, "y": Way.DYNAMIC}, smooth=True), Learned(smoothing=divisions))
    return sum(float(((answers(model, {"x": row[None]})["y"] - answers(made, {"x": row[None]})["y"]) ** 2).sum()) for row in ROWS[:8])


def seconds(divisions: dict[str, Division]) -> float:
    shapes: dict[str, list[tuple[int, int]]] = {"x": [(WIDE, WIDE)], "s": [(WIDE, 8)]}
    return sum(time_of_division(each, 6, shapes[name]) for name, each in divisions.items())


@pytest.mark.slow
def test_the_same_time_goes_where_it_shows(tmp_path: Path) -> None:
    held = {"x": Division(np.ones(WIDE, np.float32), np.array([3, 5]))}
    model, found = spread(tmp_path, held)
    moved = found.within(0)
    assert "s" in moved
    assert seconds(moved) <= seconds(held)
    assert noise(model, moved) < 0.5 * noise(model, held)


@pytest.mark.slow
def test_more_time_takes_more_noise_out_and_none_takes_none(tmp_path: Path) -> None:
    model, found = spread(tmp_path, {})
    assert found.within(0) == {}
    assert 0 < seconds(found.within(1)) <= found.whole
    assert noise(model, found.within(1)) < 0.5 * noise(model, {})


def test_nothing_to_choose_from(tmp_path: Path) -> None:
    path = tmp_path / "original.onnx"
    onnx.save(network(), path)
    assert spread_divisions(path, ir.from_proto(network()), [], {}, watcher(x=ROWS)) is None


def test_inputs_that_are_all_zero_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "original.onnx"
    onnx.save(network(), path)
    model = ir.from_proto(network())
    zeros: Array = np.zeros_like(ROWS)
    found = spread_divisions(path, model, list(model.graph)[:1], {}, watcher(x=zeros))
    assert found is not None
    assert found.within(1) == {}
