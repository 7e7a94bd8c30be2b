"""What branches and bodies compute, watched from outside, and quantized there."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from optkit.arrays import Array
from optkit.quantization.calibration.watch import Watch
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.float_graph.prepare import prepare
from optkit.quantization.variants.build import build
from optkit.quantization.variants.calibrate import all_within_reach, calibrate, within_reach
from optkit.quantization.variants.candidates import candidates
from optkit.quantization.variants.learned import Learned
from optkit.quantization.variants.treatment import Treatment, Way

from ..tiny import answers, draw, fused, read

BRANCHES = """(float[N,32] x, bool t) => (float[N,8] y) {
    r = Relu(x)
    y = If (t) <then_branch = one () => (float[N,8] d) { a = MatMul(r, w) b = Relu(a) c = MatMul(b, v) d = Neg(c) },
                else_branch = two () => (float[N,8] h) { e = MatMul(r, w) f = Sigmoid(e) h = MatMul(f, v) }> }"""
NESTED = """(float[N,32] x, bool t) => (float[N,8] y) {
    y = If (t) <then_branch = one () => (float[N,8] d) {
            d = If (t) <then_branch = in () => (float[N,8] k) { i = MatMul(x, w) k = MatMul(i, v) },
                        else_branch = out () => (float[N,8] l) { j = MatMul(x, w) l = MatMul(j, v) }> },
                else_branch = two () => (float[N,8] h) { e = MatMul(x, w) h = MatMul(e, v) }> }"""
LOOP = """(float[N,32] x, int64 n) => (float[N,32] y) <bool yes = {1}> {
    y = Loop (n, yes, x) <body = step (int64 i, bool c, float[N,32] s) => (bool o, float[N,32] q) {
        o = Identity(c) m = MatMul(s, u) q = Tanh(m) }> }"""
WEIGHTS = {"w": draw(32, 64, scale=0.2), "v": draw(64, 8, seed=1, scale=0.2)}
X = draw(24, 32, seed=2)


class Whole:
    """Feeds that are whole, as they are given."""

    whole = True

    def __init__(self, *feeds: dict[str, Array]) -> None:
        self.given = feeds

    def __len__(self) -> int:
        return len(self.given)

    def spread(self, count: int) -> "Whole":
        return Whole(*self.given[:count])

    def feeds(self, batch: int = 1) -> Iterator[dict[str, Array]]:
        yield from self.given


def test_values_of_the_branch_that_was_taken() -> None:
    model = read(BRANCHES, **WEIGHTS)
    flags = np.arange(24) % 3 == 0
    given = Whole(*({"x": X[i : i + 1], "t": np.asarray(flag)} for i, flag in enumerate(flags)))
    seen = [dict(values) for values in Watch(model, ["r", "b", "f"], given, 1)]
    for taken, values in zip(flags, seen, strict=True):
        assert set(values) == {"r", "b" if taken else "f"}
        after = np.maximum(values["r"] @ WEIGHTS["w"], 0) if taken else 1 / (1 + np.exp(-values["r"] @ WEIGHTS["w"]))
        np.testing.assert_allclose(values["b" if taken else "f"], after, rtol=1e-4, atol=1e-5)


def test_values_of_branches_in_branches() -> None:
    model = read(NESTED, **WEIGHTS)
    (values,) = [dict(v) for v in Watch(model, ["i", "j", "e"], Whole({"x": X, "t": np.asarray(True)}), 1)]
    assert set(values) == {"i"}
    np.testing.assert_allclose(values["i"], X @ WEIGHTS["w"], rtol=1e-4, atol=1e-5)


def test_steps_of_a_loop_come_as_one_batch() -> None:
    model = read(LOOP, u=draw(32, 32, scale=0.3))

    given = Whole({"x": X, "n": np.asarray(3)})

    (values,) = [dict(v) for v in Watch(model, ["s", "m"], given, 1)]
    assert values["s"].shape == (72, 32)
    np.testing.assert_allclose(values["s"][:24], X)
    np.testing.assert_allclose(values["m"][:24], X @ draw(32, 32, scale=0.3), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(values["s"][24:48], np.tanh(values["m"][:24]), rtol=1e-4, atol=1e-5)


GROWING = """(float[N,32] x, int64 n) => (float[M,32] y) <bool yes = {1}> {
    y = Loop (n, yes, x) <body = step (int64 i, bool c, float[P,32] s) => (bool o, float[R,32] q) {
        o = Identity(c) m = MatMul(s, u) q = Concat<axis=0>(m, s) }> }"""


def test_steps_that_differ_in_shape_are_not_seen() -> None:
    model = read(GROWING, u=draw(32, 32, scale=0.3))
    model.graph.outputs[0].shape = None

    given = Whole({"x": X, "n": np.asarray(2)})

    (values,) = [dict(v) for v in Watch(model, ["x", "m"], given, 1)]
    assert set(values) == {"x"}


@pytest.mark.parametrize("graph", [BRANCHES, LOOP])
def test_layers_inside_compute_in_integers(graph: str, tmp_path: Path) -> None:
    weights = WEIGHTS if graph is BRANCHES else {"u": draw(32, 32, scale=0.3)}
    model = prepare(read(graph, **weights)).model
    feed = {"x": X, "t": np.asarray(True)} if graph is BRANCHES else {"x": X, "n": np.asarray(3)}

    given = Whole(feed)

    treatment = candidates(model, "static", True)[-1]
    learned = calibrate(model, [treatment], Watcher(given), "min_max")
    reached = within_reach(model, treatment, learned)
    assert set(reached.ways) == ({"a", "c", "e"} if graph is BRANCHES else {"m"})  # what h reads was never computed: it stays as it was
    made = build(model, reached, learned)
    counts = fused(made, tmp_path)
    assert counts["MatMulIntegerToFloat"] + counts["QLinearMatMul"] == len(reached.ways)
    exact, found = (answers(m, feed)["y"] for m in (model, made))
    assert ((exact - found) ** 2).sum() < 0.003 * (exact**2).sum()
    if graph is BRANCHES:
        other = {**feed, "t": np.asarray(False)}
        np.testing.assert_allclose(answers(made, other)["y"], answers(model, other)["y"], atol=0.1)


def test_treatments_that_come_to_the_same_are_one() -> None:
    model = read("(float[N,32] x) => (float[N,64] y) { y = MatMul(x, w) }", w=WEIGHTS["w"])
    static, stored = Treatment("static", {"y": Way.STATIC}), Treatment("stored")
    assert all_within_reach(model, [static, stored], Learned()) == [Treatment("static")]
