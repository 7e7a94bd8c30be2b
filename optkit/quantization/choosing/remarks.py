"""What the user should know of the variant that won."""

from collections.abc import Sequence
from pathlib import Path

from optkit.quantization.choosing.decide import FASTER, time_ratio
from optkit.quantization.fidelity.room import shortfall
from optkit.quantization.integer_graph.unfused import told
from optkit.quantization.variants.candidates import STORED
from optkit.quantization.variants.load_memory import loading_remark
from optkit.quantization.variants.load_time import seconds_to_open, waiting_remark
from optkit.quantization.variants.trial import Bench, Trial
from optkit.quantization.variants.wishes import Wishes


def of_result(bench: Bench, best: Trial, wishes: Wishes, *, calibrated: bool) -> list[str]:
    """Sentences about the winner."""
    found = []
    if said := told(bench.model, best.treatment.given_back):
        found.append(said)
    if wishes.scored and calibrated:
        found.append(
            "the score was taken on the examples that it was calibrated and chosen on, which flatters it: "
            "hold the result against others with optkit compare"
        )
    return found


def of_measuring(bench: Bench, best: Trial, trials: Sequence[Trial], target: Path, wishes: Wishes, *, widened: bool = False) -> list[str]:
    """Sentences with seconds or bytes in them, which come out otherwise each time."""
    loading = None if best.treatment.ways else loading_remark(bench.original, target, bench.size, bench.device, bench.threads)
    waiting = waiting_remark(bench.original, target, seconds_to_open(bench.device, bench.threads))
    return [
        *(said for said in (loading, waiting) if said),
        *of_storing(best, trials, wishes),
        *of_simplifying(best, trials, widened=widened),
    ]


def of_storing(best: Trial, trials: Sequence[Trial], wishes: Wishes) -> list[str]:
    """A sentence on why nothing computes in integers, where variants that do were tried."""
    computing = [t for t in trials if t.treatment.ways and t.ratio is not None]
    if best.treatment.ways or not computing:
        return []
    fastest, sound = min(computing, key=time_ratio), min((t for t in computing if t.good), key=time_ratio, default=None)
    tried = []
    if not fastest.good:
        lost = "of the score" if wishes.scored else f"({shortfall(fastest.fidelity, wishes.floor)})"
        tried.append(f"{fastest.treatment.name} would take {time_ratio(fastest):.2f} of the time but loses too much {lost}")
    if sound is not None:
        which = f"the fastest faithful one, {sound.treatment.name}," if tried else sound.treatment.name
        tried.append(f"{which} would take {time_ratio(sound):.2f} of the time, floats take {time_ratio(best):.2f}")
    return [f"computing in INT8 does not pay here: {'; '.join(tried)}"]


def of_simplifying(best: Trial, trials: Sequence[Trial], *, widened: bool = False) -> list[str]:
    """A sentence where the graph's simplification, not its integers, gives most of the speed: what only stores integers shows it.

    So does computing in float32, where the original was `widened` to it.
    """
    plain = next((t for t in trials if t.treatment == STORED), None)
    if plain is None or max(time_ratio(plain), time_ratio(best)) >= FASTER or 1 - time_ratio(plain) < (1 - time_ratio(best)) / 2:
        return []
    share = "all" if not best.treatment.ways else "most"
    cause = "computing in float32, not float16, and from simplifying the graph" if widened else "simplifying the graph"
    return [f"{share} of the speed comes from {cause}: computing in float32 it takes {time_ratio(plain):.2f} of the time"]
