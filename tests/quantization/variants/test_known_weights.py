"""Integers of a weight are computed once, and are those that are computed without anything known."""

import pytest

from optkit.arrays import Array
from optkit.quantization.affine import Grid, quantize_weight
from optkit.quantization.variants import known_weights
from optkit.quantization.variants.build import build
from optkit.quantization.variants.known_weights import KnownWeights
from optkit.quantization.variants.learned import LaterFound, Learned
from optkit.quantization.variants.treatment import Treatment, Way

from ..tiny import draw, read, saved

SHARED = "(float[N,8] x) => (float[N,8] y, float[N,8] z) { a = MatMul(x, w) y = MatMul(a, w) b = Gemm<transB=1>(x, w) z = MatMul(b, v) }"


@pytest.fixture
def rounded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of weights as they are rounded."""
    seen = list[tuple[int, ...]]()

    def logged(weight: Array, axis: int | None) -> tuple[Array, Array]:
        seen.append(weight.shape)
        return quantize_weight(weight, axis)

    monkeypatch.setattr(known_weights, "quantize_weight", logged)
    return seen


def test_each_weight_is_rounded_once_for_each_axis_and_the_graph_is_the_same(rounded: list[tuple[int, ...]]) -> None:
    model = read(SHARED, w=draw(8, 8), v=draw(8, 8, seed=1))
    names = [str(n.name) for n in model.graph]
    known = KnownWeights(model)
    for portable in (True, False):
        for way in (Way.DYNAMIC, Way.STATIC_FLOAT_OUT):
            each = Treatment("t", dict.fromkeys(names, way), portable=portable)
            learned = Learned() if way is Way.DYNAMIC else Learned(dict.fromkeys("xab", Grid(0.05, 128)))
            fresh = saved(build(model, each, learned))
            rounded.clear()
            assert saved(build(model, each, learned, known)) == fresh
            assert len(rounded) == (3 if way is Way.DYNAMIC else 0)


def test_a_copy_with_other_weights_is_rounded_for_itself() -> None:
    model, other = (read("(float[N,8] x) => (float[N,8] y) { y = MatMul(x, w) }", w=draw(8, 8, seed=seed)) for seed in (0, 1))
    known, treatment = KnownWeights(model), Treatment("t", {"y": Way.DYNAMIC})
    build(model, treatment, Learned(), known)
    assert saved(build(other, treatment, Learned(), known)) == saved(build(other, treatment, Learned()))


def test_what_is_found_later_is_looked_for_once_and_only_when_it_is_asked_for() -> None:
    asked = list[int]()

    def find() -> dict[str, float]:
        asked.append(1)
        return {"a": 1.0, "b": 2.0}

    later = LaterFound(find)
    assert not asked
    assert bool(later)
    assert dict(later) == {"a": 1.0, "b": 2.0}
    assert (later["b"], "c" in later, len(asked)) == (2.0, False, 1)
    assert not LaterFound(dict[str, float])
