"""Which form of blocked weights is handed over, or why none is."""

from collections.abc import Sequence

from optkit.errors import NothingPaid
from optkit.quantization.choosing.decide import SLOWER
from optkit.quantization.choosing_blocks.trial import Bench, Trial, bits_text
from optkit.quantization.fidelity.room import room, shortfall
from optkit.units import show_percent


def decide(trials: Sequence[Trial], bench: Bench) -> Trial:
    """The fastest packed form that is not slower than the original, for it takes less memory; else the stored one. Raises NothingPaid."""
    sound = [t for t in trials if t.good and t.size < bench.size]
    not_slower = [t for t in sound if t.ratio is not None and t.ratio.low <= SLOWER]
    packed = [t for t in not_slower if t.form != "stored"]
    if packed or not_slower:
        return min(packed or not_slower, key=_time)
    if sound and bench.wishes.accept_size_only:
        return min(sound, key=_time)
    raise _nothing_paid(trials, sound, bench)


def _time(trial: Trial) -> float:
    return trial.ratio.value if trial.ratio is not None else float("inf")


def _nothing_paid(trials: Sequence[Trial], sound: Sequence[Trial], bench: Bench) -> NothingPaid:
    if sound:
        best = min(sound, key=_time)
        return NothingPaid(
            f"the best variant ({best.name}) takes {_time(best):.2f}× the time of the original",
            hint=f"--accept-size-only takes it knowingly, for a file of {best.size / bench.size:.0%} of the size",
        )
    smaller = [t for t in trials if t.size < bench.size]
    if not smaller:
        reasons = "; ".join(f"{name}: {why}" for name, why in bench.failures.items())
        return NothingPaid(f"no variant is smaller than the original{f' ({reasons})' if reasons else ''}", hint="try --int8 or --fp16")
    best = max(smaller, key=lambda t: room(t.fidelity, bench.wishes.floor))
    if best.drop is not None and bench.wishes.max_drop is not None:
        return NothingPaid(
            f"{bits_text(best.rounded)} lose too much here: the most faithful variant loses {show_percent(best.drop)} of the original's "
            f"score, {show_percent(bench.wishes.max_drop)} is allowed",
            hint="give calibration examples with --data, take smaller groups with --group-size, or allow more with --max-drop",
        )
    return NothingPaid(
        f"{bits_text(best.rounded)} lose too much here, even in the most faithful variant: {shortfall(best.fidelity, bench.wishes.floor)}",
        hint="give calibration examples with --data, take smaller groups with --group-size, or set the noise allowed with --min-sqnr",
    )
