"""Effort high's last layers in float: which they are, and that they are taken only at no loss of speed."""

from pathlib import Path
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
