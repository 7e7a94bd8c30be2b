"""What is not built at all."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from optkit.progress import silent
from optkit.quantization.choosing import compete
from optkit.quantization.choosing.compete import _most_faithful_of_the_fastest, _smoothed_for_nothing
from optkit.quantization.fidelity.reference import Fidelity
from optkit.quantization.variants.treatment import Treatment, Way
from optkit.quantization.variants.trial import Trial
from optkit.quantization.variants.wishes import Wishes

from .test_decide import trial

PLAIN = Treatment("dynamic", {"a": Way.DYNAMIC})
SMOOTHED = replace(PLAIN, name="dynamic, smoothed", smooth=True)


def bench(*divided: str) -> Any:
    return SimpleNamespace(learned=SimpleNamespace(smoothing=dict.fromkeys(divided)))


def built(sqnr: float, treatment: Treatment = PLAIN) -> list[Trial]:
    return [Trial(treatment, Path("t"), 1, Fidelity(sqnr, None, numbers=sqnr), sqnr >= 20)]


@pytest.mark.parametrize(("sqnr", "needless"), [(35.0, True), (29.0, False), (15.0, False)])
def test_divisions_are_looked_for_where_the_plain_variant_lacks_room(sqnr: float, needless: bool) -> None:
    assert _smoothed_for_nothing(bench("x"), SMOOTHED, built(sqnr), Wishes()) is needless
    assert not _smoothed_for_nothing(bench("x"), PLAIN, built(sqnr), Wishes())


def test_where_the_score_decides_or_effort_is_high_or_other_layers_were_tried_they_are() -> None:
    assert not _smoothed_for_nothing(bench("x"), SMOOTHED, built(35), Wishes(max_drop=0.01, drop_of=lambda _: 0.0))
    assert not _smoothed_for_nothing(bench("x"), SMOOTHED, built(35), Wishes(effort="high"))
    assert not _smoothed_for_nothing(bench("x"), SMOOTHED, built(35, replace(PLAIN, ways={})), Wishes())
    assert not _smoothed_for_nothing(bench("x"), SMOOTHED, [], Wishes())


def test_without_any_divisions_it_would_be_the_plain_variant_again() -> None:
    assert _smoothed_for_nothing(bench(), SMOOTHED, built(15), Wishes())


def test_among_the_fastest_the_most_faithful_is_what_is_improved() -> None:
    fast, gave_back, slower = trial("fast", 0.50, sqnr=6), trial("gave back", 0.52, sqnr=14), trial("slower", 0.60, sqnr=30)
    assert _most_faithful_of_the_fastest([fast, gave_back, slower], Wishes()) is gave_back
    assert _most_faithful_of_the_fastest([fast, slower], Wishes()) is fast


@pytest.mark.parametrize(
    ("others", "stored_is_good", "tries"),
    [
        ([trial("a", 0.6)], False, False),
        ([trial("a", 1.02)], False, True),  # good, and no faster
        ([trial("a", 0.6, good=False)], False, True),
        ([trial("a", 1.02)], True, False),
        ([], False, True),
    ],
)
def test_storage_is_mended_where_nothing_good_is_faster(
    monkeypatch: pytest.MonkeyPatch, others: list[Trial], stored_is_good: bool, tries: bool
) -> None:
    better = trial("mended", 1.0)
    monkeypatch.setattr(compete, "refine", lambda *_: [better])
    monkeypatch.setattr(compete, "weighted_nodes", lambda _: [])
    held: Any = SimpleNamespace(model=None, size=1000, time=lambda trials, seconds: trials)
    stored = trial("stored", 1.0, good=stored_is_good)
    computing = [replace(each, treatment=PLAIN) for each in others]
    assert compete._mended(held, [*computing, stored], Wishes(), silent) == ([better] if tries else [])
