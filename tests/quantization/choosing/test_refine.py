"""Variants built, refused, ranked and refined on a net with one bad layer."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from optkit.quantization.choosing.refine import refine
from optkit.quantization.choosing.sensitivity import noise_by_node, typical_noise
from optkit.quantization.fidelity.reference import Fidelity
from optkit.quantization.variants import trial as trials
from optkit.quantization.variants.build import build
from optkit.quantization.variants.known_weights import KnownWeights
from optkit.quantization.variants.learned import Learned
from optkit.quantization.variants.treatment import Treatment, Way
from optkit.quantization.variants.trial import Bench, Trial
from optkit.runtimes import open_session
from optkit.stats.interval import Interval
from optkit.timing.typical import Typical

from ..tiny import Feed, draw, read, saved

LAYERS = ["m1", "m2", "m3", "m4", "m5", "m6"]
SIZE = 48
FLOOR = 20.0


def net(bad: Sequence[str] = ()) -> ir.Model:
    """Six matrix products; what a bad one reads has a channel of large values that it ignores: of the others little is left."""
    graph = "".join(f"r{i} = Relu(m{i}) m{i + 1} = MatMul(r{i}, w{i + 1}) " for i in range(6)).replace("Relu(m0)", "Identity(x)")
    weights: dict[str, Any] = {f"w{i}": draw(SIZE, SIZE, seed=i) * (2 / SIZE) ** 0.5 for i in range(1, 7)}
    for name in bad:
        i = int(name[1:])
        weights[f"w{i - 1}"][:, 0] = 8
        weights[f"w{i}"][0] = 0
    return read(f"(float[N,3,{SIZE}] x) => (float[N,3,{SIZE}] y) {{ {graph} y = Neg(m6) }}", **weights)


def feeds(count: int = 4) -> list[Feed]:
    return [{"x": np.abs(draw(1, 3, SIZE, seed=100 + i))} for i in range(count)]


def judge(session: Any, fidelity: Fidelity) -> tuple[bool, float | None]:
    return fidelity.sqnr >= FLOOR, None


@pytest.fixture
def bench(tmp_path: Path) -> Callable[[ir.Model], Bench]:
    def make(model: ir.Model) -> Bench:
        path = tmp_path / "original.onnx"
        path.write_bytes(saved(model))
        (tmp_path / "variants").mkdir()
        return Bench(path, model, Learned(), feeds(), tmp_path / "variants", "cpu", 1, 0, judge)

    return make


EVERYWHERE = Treatment("dynamic", dict.fromkeys(LAYERS, Way.DYNAMIC))


def started(held: Bench) -> Trial:
    start = held.attempt(EVERYWHERE)
    assert start is not None
    return start


@pytest.mark.parametrize("bad", [["m2"], ["m4"], ["m6"]])
def test_exactly_the_bad_layer_is_given_back(bench: Callable[[ir.Model], Bench], bad: list[str]) -> None:
    held = bench(net(bad))
    start = started(held)
    assert not start.good
    told: list[tuple[str, int, int]] = []
    found = refine(held, start, FLOOR, dict.fromkeys(LAYERS, 1e-4), lambda *state: told.append(state))
    good = [t for t in found if t.good]
    fewest = max(good, key=lambda t: len(t.treatment.ways))
    assert set(LAYERS) - set(fewest.treatment.ways) == set(bad)
    assert fewest.treatment.name == "dynamic, 1 layer in float"
    assert len(found) <= 2 + 3
    assert told[-1] == ("ranking layers", 6, 6)


def test_two_bad_layers_are_both_given_back(bench: Callable[[ir.Model], Bench]) -> None:
    held = bench(net(["m2", "m5"]))
    found = refine(held, started(held), FLOOR, {}, lambda *_: None)
    fewest = max((t for t in found if t.good), key=lambda t: len(t.treatment.ways))
    assert set(LAYERS) - set(fewest.treatment.ways) == {"m2", "m5"}


def test_what_saves_much_is_given_back_last(bench: Callable[[ir.Model], Bench]) -> None:
    """Two alike bad layers, and one is enough for a low floor: it is the one that saves little."""
    held = bench(net(["m2", "m5"]))
    held.judge = lambda session, fidelity: (fidelity.sqnr >= 0, None)
    saved_seconds = {**dict.fromkeys(LAYERS, 1e-4), "m2": 1.0}
    (first, *_) = refine(held, started(held), 0.0, saved_seconds, lambda *_: None)
    assert "m5" not in first.treatment.ways


def test_noise_of_a_layer_is_that_of_the_layer_alone(bench: Callable[[ir.Model], Bench]) -> None:
    held = bench(net(["m4"]))
    noise = noise_by_node(held, EVERYWHERE, lambda *_: None)
    assert list(noise) == LAYERS
    assert max(noise, key=lambda name: noise[name]) == "m4"
    assert noise["m4"] > 100 * sorted(noise.values())[-2]
    paths = {name: held.write(Treatment(name, {name: Way.DYNAMIC}, compress=False)) for name in LAYERS}
    alone = np.stack([held.reference.relative_noise_of_each(open_session(path, "cpu", 1)) for path in paths.values()])
    shares = (alone / alone.sum(axis=0)).mean(axis=1)
    assert np.array(list(noise.values())) == pytest.approx(shares * alone.sum(axis=0).mean(), rel=1e-5)


def test_a_layer_that_makes_no_noise_is_ranked_beside_others(bench: Callable[[ir.Model], Bench]) -> None:
    graph = f"(float[N,3,{SIZE}] x) => (float[N,3,{SIZE}] y) {{ a = MatMul(x, v) b = MatMul(x, w) y = Add(a, b) }}"
    held = bench(read(graph, v=np.zeros((SIZE, SIZE), np.float32), w=draw(SIZE, SIZE)))
    noise = noise_by_node(held, Treatment("both", {"a": Way.DYNAMIC, "b": Way.DYNAMIC}), lambda *_: None)
    assert noise["a"] < 1e-9 < 1e-6 < noise["b"]


def test_the_hardest_example_does_not_decide_which_layer_is_dearest() -> None:
    found = typical_noise({"usual": np.array([2.0, 2.0, 2.0, 100.0]), "once": np.array([1.0, 1.0, 1.0, 900.0])})
    assert found["usual"] > found["once"]
    assert sum(found.values()) == pytest.approx(1009 / 4)
    assert typical_noise({}) == {}


def test_a_bench_says_which_nodes_have_weights(bench: Callable[[ir.Model], Bench]) -> None:
    held = bench(net())
    assert [name for name in [*LAYERS, "r1", "w2", "y"] if held.is_weighted(name)] == LAYERS


def test_an_attempt_is_a_file_with_its_size_and_fidelity(bench: Callable[[ir.Model], Bench]) -> None:
    held = bench(net())
    made = started(held)
    assert made.size == made.path.stat().st_size < held.size
    assert made.good
    assert 20 < made.fidelity.sqnr < 60
    assert made.ratio is None
    assert held.failures == {}


def broken(how: str) -> Callable[..., ir.Model]:
    def make(model: ir.Model, treatment: Treatment, learned: Learned, known: KnownWeights | None) -> ir.Model:
        made = build(model, treatment, learned, known)
        node = next(n for n in made.graph if n.op_type == "Neg")
        if how == "refused":
            node.op_type = "NoSuchOperator"
            return made
        graph = "(float[N,3,48] x) => (float[N,3,48] y) { z = Sub(x, x) " + ("y = Div(z, z)" if how == "nan" else "y = Neg(z)") + " }"
        return read(graph)

    return make


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("refused", "NoSuchOperator"),
        ("nan", "its outputs are not finite"),
        ("constant", "its outputs do not depend on the input"),
    ],
)
def test_a_broken_variant_is_left_out_with_its_reason(
    bench: Callable[[ir.Model], Bench], monkeypatch: pytest.MonkeyPatch, how: str, says: str
) -> None:
    held = bench(net())
    monkeypatch.setattr(trials, "build", broken(how))
    assert held.attempt(EVERYWHERE) is None
    assert says in held.failures["dynamic"]


def test_variants_are_timed_against_the_original_together(bench: Callable[[ir.Model], Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    held = bench(net())
    one = started(held)
    seen: list[Any] = []

    def race(models: Sequence[Path], given: Typical, **settings: Any) -> list[Interval]:
        seen.append((list(models), len(given.feeds), settings))
        return [Interval(i, i, i) for i in range(len(models))]

    monkeypatch.setattr(trials, "race", race)
    timed = held.time([one, one], 2.5)
    assert timed == [replace(one, ratio=Interval(i, i, i)) for i in (1, 2)]
    assert seen == [([held.original, one.path, one.path], 4, {"seconds": 2.5, "threads": 1, "device": "cpu", "seed": 0})]


def test_rounds_of_one_model_against_itself_have_a_ratio_of_about_one(tmp_path: Path) -> None:
    from optkit.quantization.variants.race import race

    path = tmp_path / "model.onnx"
    path.write_bytes(saved(net()))
    itself, other = race([path, path], feeds(2), seconds=0.05, threads=1, device="cpu", seed=0)
    assert (itself.value, itself.low, itself.high) == (1, 1, 1)
    assert 0 < other.low <= other.value <= other.high
    assert np.isfinite(other.value)
