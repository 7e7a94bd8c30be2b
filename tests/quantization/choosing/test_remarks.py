"""What is said of the winner."""

from dataclasses import replace

import pytest

from optkit.quantization.choosing.remarks import of_simplifying, of_storing
from optkit.quantization.variants.candidates import STORED as TREATMENT
from optkit.quantization.variants.treatment import Way
from optkit.quantization.variants.trial import Trial
from optkit.quantization.variants.wishes import Wishes

from .test_decide import trial


def computing(name: str, time: float | None, *, good: bool = True, sqnr: float = 40.0) -> Trial:
    made = trial(name, time, good=good, sqnr=sqnr)
    return replace(made, treatment=replace(made.treatment, ways={"layer": Way.STATIC}))


STORED = trial("stored", 1.0)


def said(*trials: Trial, best: Trial = STORED) -> list[str]:
    return of_storing(best, [*trials, best], Wishes())


def test_why_nothing_computes_in_integers() -> None:
    assert said(computing("static", 1.21), computing("dynamic", 1.08)) == [
        "computing in INT8 does not pay here: dynamic would take 1.08 of the time, floats take 1.00"
    ]


def test_what_loses_too_much_is_named_first() -> None:
    assert said(computing("static", 0.6, good=False, sqnr=8.0), computing("dynamic", 1.08)) == [
        "computing in INT8 does not pay here: static would take 0.60 of the time but loses too much (it keeps 8.0 dB, 20 are asked for); "
        "the fastest faithful one, dynamic, would take 1.08 of the time, floats take 1.00"
    ]
    (alone,) = said(computing("static", 0.6, good=False, sqnr=8.0))
    assert alone.endswith("loses too much (it keeps 8.0 dB, 20 are asked for)")


def test_there_is_nothing_to_say() -> None:
    assert said() == []
    assert said(computing("never timed", None)) == []
    assert said(best=computing("static", 0.5)) == []


def test_where_the_score_decides_it_is_the_score_that_is_lost() -> None:
    wishes = Wishes(max_drop=0.01, drop_of=lambda _: 0.0)
    (alone,) = of_storing(STORED, [computing("static", 0.6, good=False), STORED], wishes)
    assert alone.endswith("static would take 0.60 of the time but loses too much of the score")


@pytest.mark.parametrize(("plain", "best", "said"), [(0.8, 0.7, True), (0.95, 0.5, False), (0.95, 1.04, False), (1.0, 0.9, False)])
def test_where_speed_comes_from_is_said_where_there_is_any(plain: float, best: float, said: bool) -> None:
    stored = replace(trial("stored", plain), treatment=TREATMENT)
    assert bool(of_simplifying(computing("static", best), [stored])) is said
