"""What is said of calibration examples."""

import numpy as np
import pytest

from optkit.artifact import Artifact
from optkit.datasets import Array
from optkit.datasets.synthetic import synthetic
from optkit.errors import DataError
from optkit.passes import Job
from optkit.passes.quantize_static import QuantizeStatic
from optkit.quantization.calibration.contract import ENOUGH, calibration_remarks, range_remarks
from optkit.quantization.calibration.fed import fed_by_inputs
from optkit.quantization.histogram import Histogram
from optkit.quantization.variants.calibrate import calibrate
from optkit.quantization.variants.candidates import candidates
from optkit.runtimes import Port

from ..tiny import draw, read, watcher


def seen(*values: Array) -> dict[str, Histogram]:
    held = {f"t{i}": Histogram() for i in range(len(values))}
    for histogram, each in zip(held.values(), values, strict=True):
        histogram.add(each.astype(np.float32))
    return held


def test_nothing_is_said_where_all_is_well() -> None:
    assert calibration_remarks(seen(draw(9), draw(9, seed=1))) == range_remarks(ENOUGH) == []


def test_few_examples() -> None:
    (said,) = range_remarks(ENOUGH - 1)
    assert said.startswith(f"ranges rest on {ENOUGH - 1} examples: give {ENOUGH} or more")
    assert range_remarks(1)[0].startswith("ranges rest on 1 example:")


def test_what_the_examples_do_not_reach_is_named() -> None:
    (said,) = calibration_remarks({**seen(draw(9)), "branch": Histogram()})
    assert said == "not reached by these examples: 1 tensor (branch); their layers were not judged, and get no static INT8"


def test_dead_and_constant_tensors_are_named() -> None:
    dead, still = calibration_remarks(seen(draw(9), *[np.zeros(4)] * 5, np.full(3, 2.5)))
    assert dead.startswith("always zero on these examples: 5 tensors (t1, t2, t3, …);")
    assert still.startswith("the same value throughout these examples: 1 tensor (t6);")


def test_calibrating_passes_them_on() -> None:
    model = read(
        "(float[N,64] x) => (float[N,64] y) { m = MatMul(x, w) r = Relu(m) y = MatMul(r, v) }", w=-np.abs(draw(64, 64)), v=draw(64, 64)
    )
    treatments = candidates(model, "static", True, (), True)
    learned = calibrate(model, treatments, watcher(x=np.abs(draw(8, 64))), "auto")
    (told,), (few,) = learned.remarks, learned.of_ranges
    assert few.startswith("ranges rest on 8 examples")
    assert "2 tensors (r, y)" in told


def test_made_up_inputs_give_no_ranges() -> None:
    model = read("(float[N,64] x) => (float[N,64] y) { y = MatMul(x, w) }", w=draw(64, 64))
    made_up = synthetic((Port("x", "float32", ("N", 64)),), 40)
    for given in (None, made_up):
        with pytest.raises(DataError, match="need real examples"):
            QuantizeStatic().edit(model, Job(Artifact.__new__(Artifact), given))


def test_a_first_state_of_zeros_is_nobodys_doing() -> None:
    model = read(
        """(float[N,4] x) => (float[N,4] y) {
            n = Shape(x) zeros = ConstantOfShape(n) start = MatMul(zeros, w) now = MatMul(x, w) y = Add(start, now) }""",
        w=draw(4, 4),
    )
    assert fed_by_inputs(model) == {"x", "now", "y"}
    learned = calibrate(model, candidates(model, "static", calibrated=True), watcher(x=draw(40, 4)), "min_max")
    assert learned.remarks == ()


def test_what_branches_compute_counts_as_fed() -> None:
    model = read(
        """(bool c, float[4] x) => (float[4] y) {
            y = If(c) <then_branch = yes () => (float[4] p) { p = Neg(x) }, else_branch = no () => (float[4] q) { q = Abs(x) }> }"""
    )
    assert fed_by_inputs(model) == {"c", "x", "y", "p", "q"}
