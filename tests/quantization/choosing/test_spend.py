"""Effort high's last layers in float: which they are, and that they are taken only at no loss of speed."""

from math import inf, log
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest

from optkit.formats.onnx import load_model
from optkit.quantization.choosing import compete, spend
from optkit.quantization.choosing import polish as polishing
from optkit.quantization.choosing.choose import choose
from optkit.quantization.choosing.spend import with_float_tail
from optkit.quantization.variants import trial
from optkit.quantization.variants.treatment import Treatment, Way
from optkit.quantization.variants.wishes import Setting, Wishes
from optkit.stats.interval import Interval

from ..tiny import draw, examples, proto_of, read

NETWORK = (
    "(float[N,4,8,8] x) => (float[N,3] y) { c = Conv<pads=[1,1,1,1]>(x, k) a = Conv<pads=[1,1,1,1]>(c, l) s = Add(a, c) r = Relu(s)"
    " m = GlobalAveragePool(r) f = Flatten(m) y = Gemm(f, w) }"
)
WEIGHTS: dict[str, Any] = {"k": draw(16, 4, 3, 3, scale=0.2), "l": draw(16, 16, 3, 3, seed=1, scale=0.2), "w": draw(16, 3, seed=2)}
NODES = ("c", "a", "s", "m", "f", "y")


def test_the_tail_begins_behind_the_last_sum() -> None:
    found = with_float_tail(read(NETWORK, **WEIGHTS), Treatment("static", dict.fromkeys(NODES, Way.STATIC)))
    assert found is not None
    assert set(found.ways) == {"c", "a", "s"}
    assert found.ends


def raced(monkeypatch: pytest.MonkeyPatch, *found: Interval) -> tuple[bool, int]:
    """Whether what gives these races counts as no slower, and how many were run."""
    seeds: list[int] = []

    def race(*_: Any, seed: int, **__: Any) -> list[Interval]:
        seeds.append(seed)
        return [Interval(1, 1, 1), found[len(seeds) - 1]]

    monkeypatch.setattr(spend, "race", race)
    one = SimpleNamespace(path=Path("one.onnx"))
    bench = SimpleNamespace(raced=None, threads=1, device="cpu", seed=7)
    told = spend.no_slower(bench, one, one, 0.1)  # type: ignore[arg-type]
    assert len(set(seeds)) == len(seeds)
    return told, len(seeds)


def test_one_race_that_is_sure_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    assert raced(monkeypatch, Interval(0.99, 0.98, 1.0)) == (True, 1)
    assert raced(monkeypatch, Interval(1.1, 1.05, 1.15)) == (False, 1)


def test_a_race_that_bad_luck_decides_is_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    unsure, sure = Interval(1.03, 0.95, 1.12), Interval(1.0, 0.99, 1.01)
    assert raced(monkeypatch, unsure, sure, sure) == (True, 2)
    assert raced(monkeypatch, unsure, unsure, unsure, unsure) == (False, spend.RACES)


def test_races_weigh_as_much_as_they_are_sure() -> None:
    together = spend.taken_together([Interval(1.2, 0.6, 2.4), Interval(1.0, 0.98, 1.02)])
    assert 1.0 < together.value < 1.001
    alike = [Interval(1.0, 0.9, 1 / 0.9)] * 4
    assert log(spend.taken_together(alike).high) == pytest.approx(-log(0.9) / 2)
    assert spend.taken_together([Interval(1.5, 0.0, inf)]) == Interval(1.5, 0.0, inf)


@pytest.mark.parametrize("ways", [{}, {"y": Way.DYNAMIC}])
def test_what_is_nothing_but_a_tail_stays(ways: dict[str, Way]) -> None:
    assert with_float_tail(read(NETWORK, **WEIGHTS), Treatment("few", ways)) is None


def chosen(folder: Path, monkeypatch: pytest.MonkeyPatch, later: float) -> Any:
    """The choice where polishing's race finds what comes later to take so much of the time."""
    monkeypatch.setattr(trial, "race", lambda models, *_, **__: [Interval(0.5, 0.5, 0.5)] * len(models))
    monkeypatch.setattr(spend, "race", lambda *_, **__: [Interval(1, 1, 1), Interval(later, later, later)])
    monkeypatch.setattr(compete, "node_times", lambda *_: {})
    monkeypatch.setattr(polishing, "_with_float_ends", lambda bench, best, *_: best)
    onnx.save(proto_of(NETWORK, **WEIGHTS), folder / "original.onnx")
    rows = examples(x=draw(48, 4, 8, 8, seed=9))
    wishes = Wishes(method="static", effort="high", floor=0, accept_size_only=True, seconds=0.1)
    path = folder / "original.onnx"
    return choose(path, load_model(path), rows, rows.spread(16), wishes, Setting(), folder / "made.onnx").best


@pytest.mark.slow
def test_a_tail_that_takes_time_is_left_in_integers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "y" in chosen(tmp_path, monkeypatch, 1.02).treatment.ways


@pytest.mark.slow
def test_a_tail_that_takes_none_computes_in_float(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "y" not in chosen(tmp_path, monkeypatch, 1.0).treatment.ways
