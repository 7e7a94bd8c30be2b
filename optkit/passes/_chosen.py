"""What a pass that raced variants notes of the one it chose, and of the others."""

from optkit.passes import Job
from optkit.quantization.choosing.choose import Choice
from optkit.quantization.choosing_blocks.choose import Choice as ChoiceOfBlocks
from optkit.quantization.choosing_blocks.trial import Trial as TrialOfBlocks
from optkit.quantization.variants.trial import Trial
from optkit.stats.interval import Interval


def note_choice(job: Job, choice: Choice | ChoiceOfBlocks, *, real: bool) -> None:
    """Note the winner and what was measured, on `real` examples or on made-up ones."""
    best = choice.best
    job.note("method", best.name)
    job.note("operators", choice.operators)
    job.note("calibrated_on", choice.calibrated_on)
    job.note("remarks", list(choice.remarks))
    job.note("judged_on", "real examples" if real else "made-up inputs")
    job.note("measured_ratio", _listed(best.ratio))
    job.note("measured_sqnr", best.fidelity.sqnr)
    job.note("measured_agreement", best.fidelity.agreement)
    if best.fidelity.whole is not None:
        job.note("measured_whole", best.fidelity.whole)
    job.note("measured_cost", best.fidelity.cost)
    job.note("measured_high_scores", best.fidelity.high_scores)
    if best.drop is not None:
        job.note("measured_drop", best.drop)
    job.note("measured_trials", [_trial(each) for each in choice.trials])
    job.note("measured_failures", choice.failures)


def _trial(trial: Trial | TrialOfBlocks) -> dict[str, object]:
    found = trial.fidelity
    return {"method": trial.name, "time": _listed(trial.ratio), "size": trial.size, "sqnr": found.sqnr, "agreement": found.agreement}


def _listed(ratio: Interval | None) -> list[float] | None:
    return None if ratio is None else [ratio.value, ratio.low, ratio.high]
