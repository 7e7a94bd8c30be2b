"""A model that was made to be simpler or smaller, and takes longer for sure: kernels like some shapes and layouts less than others."""

from optkit.artifact import Artifact
from optkit.errors import NothingPaid
from optkit.passes import Job
from optkit.runtimes import runs_on
from optkit.stats.interval import Interval

SLOWER = 1.2
"""Times the original's: two sessions of one file may differ by a tenth."""


def timed_on(job: Job) -> str:
    """The job's device; the CPU where that one is PyTorch's to train on, and ONNX Runtime does not know it."""
    return job.device if runs_on(job.device) else "cpu"


def refuse_slower(what: str, source: Artifact, time: Interval, hint: str) -> None:
    """Raise NothingPaid where the time, as a ratio of the source's, is beyond SLOWER with its whole interval."""
    if time.low > SLOWER:
        said = f"the {what} model takes {time.value:.2f}× the time of the original ({time.low:.2f} to {time.high:.2f})"
        raise NothingPaid(said, where=str(source.path), hint=hint)
