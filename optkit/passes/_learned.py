"""What passes that train say of it, and when a training was worth nothing."""

from optkit.errors import NothingPaid
from optkit.passes import Job
from optkit.training import TrainingOutcome
from optkit.units import show_seconds

FEW_HELD_OUT = 100
"""Examples held out below which the best epoch is chosen by chance as much as by skill."""


def tell(outcome: TrainingOutcome, job: Job) -> None:
    """Note how a training went."""
    trained = outcome.epochs[-1].number
    job.note("epochs", trained)
    job.note("learned from", outcome.learned_from)
    if outcome.held_out:
        job.note("best epoch", outcome.best)
        job.note("held out", outcome.held_out)
        job.note(f"validation {outcome.metric}", {"before": outcome.before, "after": outcome.after})
    if outcome.held_out and outcome.held_out < FEW_HELD_OUT:
        job.note("beware", f"the best epoch was chosen on {outcome.held_out} examples: by chance as much as by skill")
    if outcome.stopped_early:
        job.note("stopped early", True)
    if outcome.processes > 1:
        job.note("processes", outcome.processes)
    if outcome.precision != "no":
        job.note("mixed precision", outcome.precision)
    job.note("measured_loss_by_epoch", [each.loss for each in outcome.epochs[1:]])
    job.note("measured_validation_by_epoch", [outcome.number_of(each) for each in outcome.epochs])
    job.note("measured_seconds", round(outcome.seconds, 1))


def check_gain(outcome: TrainingOutcome) -> None:
    """Raise NothingPaid where no epoch was better than the start."""
    if not outcome.held_out or outcome.best:
        return
    trained = outcome.epochs[1:]
    best = (max if outcome.higher_is_better else min)(outcome.number_of(each) or 0.0 for each in trained)
    spent = f"{trained[-1].number} epochs, {show_seconds(outcome.seconds)}"
    raise NothingPaid(
        f"training did not help: {outcome.metric} on {outcome.held_out} examples held out was {outcome.before:.4g} before, "
        f"and {best:.4g} after the best of {spent}",
        hint="lower learning_rate, train on more data or for more epochs, or leave the pass out",
    )
