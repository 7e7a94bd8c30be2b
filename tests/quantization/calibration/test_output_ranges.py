"""Ranges by what they do to the outputs: nothing is rounded for what a layer behind drops, in the main graph and in branches."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from optkit.quantization.affine import Grid, grid_for
from optkit.quantization.calibration.output_ranges import ranges_by_output

from ..tiny import draw, examples, proto_of

PLAIN = "(float[N,16] x) => (float[N,8] y) { a = MatMul(x, w) r = Relu(a) y = MatMul(r, v) }"
IN_A_BRANCH = """(float[N,16] x, bool t) => (float[N,8] y) {
    y = If (t) <then_branch = one () => (float[N,8] o) { a = MatMul(x, w) r = Relu(a) o = MatMul(r, v) },
                else_branch = two () => (float[N,8] p) { q = MatMul(x, w) p = MatMul(q, v) }> }"""
LAST_IN_A_BRANCH = """(float[N,16] x, bool t) => (float[N,8] y) {
    z = If (t) <then_branch = one () => (float[N,8] a) { a = MatMul(x, w) },
                else_branch = two () => (float[N,8] p) { q = Neg(x) p = MatMul(q, w) }>
    y = Relu(z) }"""


def found(folder: Path, graph: str, grids: dict[str, Grid], columns: int = 24) -> dict[str, Grid]:
    held: dict[str, Any] = {"w": draw(16, columns), "v": draw(24, 8, seed=1)}
    path = folder / "original.onnx"
    proto = proto_of(graph, **{name: array for name, array in held.items() if f", {name})" in graph})
    onnx.save(proto, path)
    more = {"t": np.ones(24, bool)} if "bool t" in graph else {}
    rows = examples(x=draw(24, 1, 16, seed=5), **more)
    rows = type(rows)(rows.source, rows.arrays, whole=True)
    return ranges_by_output(path, ir.from_proto(onnx.load(path)), grids, rows, threads=1, progress=lambda *_: None)


@pytest.mark.parametrize(("graph", "columns"), [(PLAIN, 24), (IN_A_BRANCH, 24), (LAST_IN_A_BRANCH, 8)])
def test_what_a_relu_drops_needs_no_integers(tmp_path: Path, graph: str, columns: int) -> None:
    better = found(tmp_path, graph, {"a": grid_for(-12, 12)}, columns)
    assert better["a"].low > -6
    assert better["a"].high > 9


def test_ranges_that_fit_stay(tmp_path: Path) -> None:
    assert found(tmp_path, PLAIN, {"x": grid_for(-3, 3)}) == {}


def test_a_name_that_two_branches_have_is_left_alone(tmp_path: Path) -> None:
    both = IN_A_BRANCH.replace("q = MatMul(x, w) p = MatMul(q, v)", "a = MatMul(x, w) p = MatMul(a, v)")
    assert found(tmp_path, both, {"a": grid_for(-12, 12)}) == {}
    assert found(tmp_path, PLAIN, {"elsewhere": grid_for(-12, 12)}) == {}
