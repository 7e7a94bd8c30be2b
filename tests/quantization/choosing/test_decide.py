"""Which of several measured variants is handed over, and what is said when none is."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from optkit.errors import NothingPaid
from optkit.quantization.choosing.decide import decide, time_ratio
from optkit.quantization.fidelity.reference import Fidelity
from optkit.quantization.variants.treatment import Treatment, Way
from optkit.quantization.variants.trial import Trial
from optkit.quantization.variants.wishes import Wishes
from optkit.stats.interval import Interval

ORIGINAL = 1000


def trial(
    name: str,
    time: float | tuple[float, float, float] | None,
    size: int = 300,
    sqnr: float = 40.0,
    drop: float | None = None,
    good: bool = True,
) -> Trial:
    if isinstance(time, float):
        time = (time, time - 0.01, time + 0.01)
    ratio = None if time is None else Interval(*time)
    return Trial(Treatment(name), Path(name), size, Fidelity(sqnr, 1.0, numbers=sqnr), good, drop, ratio)


def chosen(*trials: Trial, failures: dict[str, str] | None = None, **wishes: Any) -> str:
    bench: Any = SimpleNamespace(size=ORIGINAL, failures=failures or {})
    return decide(trials, bench, Wishes(**wishes)).treatment.name


def refusal(*trials: Trial, failures: dict[str, str] | None = None, **wishes: Any) -> tuple[str, str]:
    with pytest.raises(NothingPaid) as caught:
        chosen(*trials, failures=failures, **wishes)
    assert caught.value.hint is not None
    assert caught.value.exit_code == 1
    return caught.value.what, caught.value.hint


@pytest.mark.parametrize(
    ("trials", "wins"),
    [
        ([trial("fast", 0.5), trial("slow", 0.8, sqnr=60)], "fast"),
        # a dB more is worth a hundredth of the time, up to what is faithful enough
        ([trial("fast", 0.50, sqnr=22), trial("faithful", 0.51, sqnr=28)], "faithful"),
        ([trial("fast", 0.50, sqnr=22), trial("faithful", 0.55, sqnr=28)], "fast"),
        ([trial("fast", 0.50, sqnr=27), trial("faithful", 0.52, sqnr=28)], "fast"),
        # faithful enough is enough: then the faster one
        ([trial("slower", 0.52, sqnr=50), trial("faster", 0.50, sqnr=35)], "faster"),
        # what loses too much does not count, however fast
        ([trial("lossy", 0.3, good=False), trial("faithful", 0.8)], "faithful"),
        # nothing is faster: the smallest of those that are not slower
        ([trial("large", 1.0, size=500), trial("small", 1.02, size=250), trial("slow", 1.2, size=100)], "small"),
        # … and of files of nearly that size the most faithful
        ([trial("dynamic", 1.0, size=300, sqnr=30), trial("stored", 1.02, size=305, sqnr=38)], "stored"),
        ([trial("small", 1.0, size=250, sqnr=30), trial("faithful", 1.0, size=300, sqnr=38)], "small"),
        ([trial("even", (1.04, 1.0, 1.08), size=400)], "even"),
        # … unless it is shown to take a little longer, and another is not
        ([trial("large", 0.98, size=800), trial("small", (1.025, 1.02, 1.03), size=600)], "large"),
        ([trial("small", (1.025, 1.02, 1.03), size=600)], "small"),
        # slower in the middle, but not for sure, next to one that is faster
        ([trial("faster", 0.9, size=900), trial("unsure", (1.03, 0.9, 1.2), size=100)], "faster"),
        # larger than the original is no result
        ([trial("large", 0.4, size=1000), trial("small", 0.9, size=999)], "small"),
        ([trial("unmeasured", None), trial("measured", 0.9)], "measured"),
    ],
)
def test_the_fastest_of_the_faithful_and_small(trials: list[Trial], wins: str) -> None:
    assert chosen(*trials) == wins
    assert chosen(*reversed(trials)) == wins


@pytest.mark.parametrize(
    ("time", "sqnr", "wins"), [(0.82, 24, "plain"), (0.75, 24, "integers"), (0.82, 31, "integers"), (0.87, 31, "plain")]
)
def test_integers_that_save_little_must_lose_little(time: float, sqnr: float, wins: str) -> None:
    """Beside the same graph in float, that is what is left: a tenth of its time, or ample room."""
    integers = replace(trial("integers", time, sqnr=sqnr), treatment=Treatment("integers", {"c": Way.STATIC}))
    assert chosen(integers, trial("plain", 0.88, sqnr=43)) == wins


def test_of_equally_fast_ones_the_first_is_taken() -> None:
    assert chosen(trial("first", 0.505, sqnr=35), trial("second", 0.50, sqnr=50)) == "first"


def test_an_interval_just_below_slower_and_a_value_above_it() -> None:
    """The whole interval decides whether a variant is slower: 1.08 that may be 1.02 is not refused."""
    assert chosen(trial("unsure", (1.08, 1.02, 1.2))) == "unsure"


def test_slower_is_refused_unless_asked_for() -> None:
    slow = [trial("slow", 1.2, size=400), trial("slower", 1.5, size=250)]
    what, hint = refusal(*slow)
    assert what == "INT8 does not pay here: the best variant (slow) takes 1.20× the time of the original"
    assert hint == "--accept-size-only takes it knowingly, for a file of 40% of the size"
    assert chosen(*slow, accept_size_only=True) == "slower"


def test_accepting_size_does_not_accept_loss() -> None:
    what, _ = refusal(trial("lossy", 0.5, sqnr=12.345, good=False), accept_size_only=True, floor=20.0)
    assert what == "INT8 loses too much here, even the most faithful variant (lossy): it keeps 12.3 dB, 20 are asked for"


def test_loss_is_told_of_the_most_faithful_variant() -> None:
    what, hint = refusal(trial("worse", 0.5, sqnr=5, good=False), trial("better", 0.9, sqnr=18, good=False), floor=30.0)
    assert what == "INT8 loses too much here, even the most faithful variant (better): it keeps 18.0 dB, 30 are asked for"
    assert "--min-sqnr" in hint


def test_made_up_inputs_are_said_to_be_such() -> None:
    what, hint = refusal(trial("lossy", 0.5, sqnr=12.345, good=False), floor=20.0, real=False)
    assert what == "INT8 loses too much on made-up inputs, even the most faithful variant (lossy): it keeps 12.3 dB, 20 are asked for"
    assert hint.startswith("give real examples with --data")


def test_a_limit_on_the_drop_is_told_as_a_drop() -> None:
    what, hint = refusal(trial("lossy", 0.5, drop=0.034, good=False), max_drop=0.01)
    assert what == "INT8 loses too much here: the most faithful variant (lossy) loses 3.40% of the original's score, 1.00% is allowed"
    assert "--max-drop" in hint


def test_nothing_smaller_says_what_failed() -> None:
    what, _ = refusal(
        trial("large", 0.5, size=1200), failures={"static": "ONNX Runtime cannot load it: odd", "dynamic": "its outputs are not finite"}
    )
    assert what == (
        "no INT8 variant is smaller than the original (static: ONNX Runtime cannot load it: odd; dynamic: its outputs are not finite)"
    )
    assert refusal()[0] == "no INT8 variant is smaller than the original"


def test_unmeasured_variants_count_as_endlessly_slow() -> None:
    assert time_ratio(trial("unmeasured", None)) == float("inf")
    assert time_ratio(trial("measured", 0.5)) == 0.5
