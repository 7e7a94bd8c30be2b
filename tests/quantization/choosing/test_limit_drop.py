"""The fastest variant within a limit on the score, in few full evaluations."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import ceil, log2
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from optkit.quantization.choosing.limit_drop import Search, best_effort, search_within
from optkit.quantization.fidelity.reference import Fidelity
from optkit.quantization.variants.learned import Learned
from optkit.quantization.variants.node_times import Profile
from optkit.quantization.variants.treatment import Treatment, Way
from optkit.quantization.variants.trial import Bench, Trial
from optkit.quantization.variants.wishes import Wishes
from optkit.stats.interval import Interval

from ..tiny import draw, read, saved

COUNT, SIZE = 9, 40
LAYERS = [f"m{i}" for i in range(1, COUNT + 1)]
DYNAMIC = Treatment("dynamic", dict.fromkeys(LAYERS, Way.DYNAMIC))
STORED = Treatment("8-bit weights, float compute")


def net(bad: Sequence[str]) -> ir.Model:
    """Matrix products; what a bad one reads has a channel of large values that it ignores: of the others little is left."""
    graph = "".join(f"r{i} = Relu(m{i}) m{i + 1} = MatMul(r{i}, w{i + 1}) " for i in range(COUNT)).replace("Relu(m0)", "Identity(x)")
    weights: dict[str, Any] = {f"w{i}": draw(SIZE, SIZE, seed=i) * (2 / SIZE) ** 0.5 for i in range(1, COUNT + 1)}
    for name in bad:
        i = int(name[1:])
        weights[f"w{i - 1}"][:, 0] = 8
        weights[f"w{i}"][0] = 0
    return read(f"(float[N,3,{SIZE}] x) => (float[N,3,{SIZE}] y) {{ {graph} y = Neg(m{COUNT}) }}", **weights)


class Counting:
    """A score that suffers from each of `bad` that computes in integers, and how often it was asked for."""

    def __init__(self, bad: Sequence[str], limit: float = 0.01, always: float = 0.0) -> None:
        self.bad, self.limit, self.always, self.asked = bad, limit, always, 0

    def __call__(self, trial: Trial) -> Trial:
        self.asked += 1
        drop = self.always + 0.05 * len(set(self.bad) & set(trial.treatment.ways))
        return replace(trial, good=drop <= self.limit, drop=drop)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[str]], tuple[Bench, list[Trial]]]:
    def time(held: Bench, trials: Sequence[Trial], seconds: float) -> list[Trial]:
        """The more layers in integers, the faster."""
        ratios = [1 - 0.05 * len(t.treatment.ways) for t in trials]
        return [replace(t, ratio=Interval(r, r, r)) for t, r in zip(trials, ratios, strict=True)]

    def make(bad: Sequence[str]) -> tuple[Bench, list[Trial]]:
        path, feeds = tmp_path / "original.onnx", [{"x": np.abs(draw(1, 3, SIZE, seed=100 + i))} for i in range(3)]
        path.write_bytes(saved(net(bad)))
        (tmp_path / "variants").mkdir()
        held = Bench(path, net(bad), Learned(), feeds, tmp_path / "variants", "cpu", 1, 0, Wishes().judge_fidelity)
        return held, held.time([t for t in map(held.attempt, (DYNAMIC, STORED)) if t is not None], 0)

    monkeypatch.setattr(Bench, "time", time)
    monkeypatch.setattr("optkit.quantization.choosing.limit_drop.profile_nodes", lambda *_: Profile({}, {}, {}))
    return make


def found(search: Search) -> Trial:
    return min((t for t in search.trials if t.good and t.ratio is not None), key=lambda t: t.ratio.value)  # type: ignore[union-attr]


def test_a_fast_variant_that_keeps_the_score_is_enough(bench: Any) -> None:
    score = Counting([])
    held, trials = bench([])
    search = search_within(held, trials, score, 0, lambda *_: None)
    assert found(search).treatment == DYNAMIC
    assert score.asked == 1
    assert search.noise == {}


@pytest.mark.parametrize("bad", [["m2"], ["m5", "m8"], ["m3", "m6", "m9"]])
def test_the_layers_to_blame_go_back_to_float(bench: Any, bad: list[str]) -> None:
    score = Counting(bad)
    held, trials = bench(bad)
    search = search_within(held, trials, score, 0, lambda *_: None)
    assert set(LAYERS) - set(found(search).treatment.ways) == set(bad)
    assert set(list(search.noise)[: len(bad)]) == set(bad)
    assert sum(search.noise.values()) == pytest.approx(1)
    assert score.asked <= ceil(2 + log2(COUNT))


@pytest.mark.slow
@pytest.mark.parametrize("always", [0.005, 0.03])
def test_where_every_layer_hurts_storage_is_evaluated_too(bench: Any, always: float) -> None:
    score = Counting(LAYERS, always=always)
    held, trials = bench(["m4"])
    search = search_within(held, trials, score, 0, lambda *_: None)
    assert score.asked <= ceil(2 + log2(COUNT))
    stored = next(t for t in search.trials if t.treatment == STORED)
    assert stored.drop == always
    assert [t.treatment for t in search.trials if t.good] == ([STORED] if always < 0.01 else [])
    refusal = best_effort(search, held, Wishes(max_drop=0.01, drop_of=lambda session: 0.0))
    if always < 0.01:
        assert refusal is None
        return
    assert refusal is not None
    error, best = refusal
    assert best.treatment == STORED
    assert "the best variant (8-bit weights, float compute) loses 3.00% of the original's score, 1.00% is allowed" in error.what
    assert "m4 (MatMul, " in error.what
    assert error.hint == "try --effort high, give more calibration examples, leave them out with --exclude, or allow more with --max-drop"


def test_nothing_is_evaluated_that_was_not_timed() -> None:
    trial = Trial(DYNAMIC, Path("x"), 1, Fidelity(30.0, 1.0), True)

    class Small:
        size = 10

    search = search_within(Small(), [trial], Counting([]), 0, lambda *_: None)  # type: ignore[arg-type]
    assert search.trials == (replace(trial, good=False),)
