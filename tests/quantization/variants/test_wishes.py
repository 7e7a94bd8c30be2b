"""When a few examples say enough."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from optkit.arrays import Array
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.fidelity.reference import GLANCE, Fidelity, Reference
from optkit.quantization.variants import trial as trials
from optkit.quantization.variants.learned import Learned
from optkit.quantization.variants.treatment import Treatment, Way
from optkit.quantization.variants.trial import Bench
from optkit.quantization.variants.wishes import Setting, Wishes

from ..tiny import draw, examples, read, saved


@pytest.mark.parametrize(
    ("sqnr", "hopeless", "settled"), [(13.0, True, False), (15.0, False, False), (37.0, False, False), (39.0, False, True)]
)
def test_what_is_far_from_the_rules_on_either_side(sqnr: float, hopeless: bool, settled: bool) -> None:
    seen, scored = Fidelity(sqnr, None, numbers=sqnr), Wishes(max_drop=0.01, drop_of=lambda _: 0.0)
    assert (Wishes().hopeless(seen), Wishes().settled(seen)) == (hopeless, settled)
    assert not scored.hopeless(seen)
    assert not scored.settled(seen)
    assert not Wishes(floor=30).settled(seen)
    assert not Wishes(effort="high").settled(seen)


@pytest.mark.parametrize(("long", "looked_at"), [(0.0, GLANCE), (1e9, GLANCE + 8)])
def test_of_what_is_good_beyond_doubt_no_more_examples_are_looked_at_where_they_take_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, long: float, looked_at: int
) -> None:
    model = read("(float[N,8] x) => (float[N,6] y) { y = MatMul(x, w) }", w=draw(8, 6))
    path = tmp_path / "original.onnx"
    path.write_bytes(saved(model))
    monkeypatch.setattr(trials, "LONG", long)
    feeds = [{"x": each} for each in draw(GLANCE + 8, 2, 8)]
    wishes = replace(Wishes(), floor=5.0)
    bench = Bench(path, model, Learned(), feeds, tmp_path, "cpu", 1, 0, wishes.judge, wishes.hopeless, wishes.settled)
    runs = list[int]()
    plain = Reference._hold

    def counted(self: Reference, held: Any, place: int, name: str, got: Mapping[str, Array]) -> None:
        runs.append(place)
        plain(self, held, place, name, got)

    monkeypatch.setattr(Reference, "_hold", counted)
    trial = bench.attempt(Treatment("dynamic", {"y": Way.DYNAMIC}))
    assert trial is not None
    assert trial.good
    assert len(runs) == looked_at


def test_activations_are_watched_as_the_setting_says() -> None:
    given, told = examples(x=draw(4, 8)), lambda what, done, total: None
    setting = Setting("cpu", threads=2, seed=7, progress=told, max_memory=1 << 30)
    assert setting.watcher(given) == Watcher(given, threads=2, max_memory=1 << 30, progress=told)
