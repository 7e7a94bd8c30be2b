"""How long a model made for another device takes there beside its original: one example at a time, and in batches."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from optkit.arrays import Array
from optkit.artifact import Artifact
from optkit.errors import NothingPaid, OptkitError
from optkit.passes import Job
from optkit.passes._slower import SLOWER
from optkit.quantization.fidelity.likeness import trial_feeds
from optkit.quantization.variants.race import race
from optkit.runtimes import fixed_batch, open_session, runs_on
from optkit.stats.interval import Interval

RACED = 4
"""Examples."""
BATCH = 32
"""Of a GPU one example at a time uses a small part."""
SECONDS = 2.0


@dataclass(frozen=True)
class Speed:
    """Times as ratios of the original's."""

    single: Interval
    batched: Interval | None
    """In batches of BATCH; None where the model takes none."""

    @property
    def slower(self) -> bool:
        """Whether it is for sure slower in one way, and for sure faster in none."""
        ways = [each for each in (self.single, self.batched) if each is not None]
        return any(each.low > SLOWER for each in ways) and not any(each.high < 1 for each in ways)


def device_speed(source: Path, target: Path, job: Job) -> Speed | None:
    """Time both models in turns on the job's device; None where ONNX Runtime has none such, or nothing is known that they could be fed."""
    if not runs_on(job.device):
        return None
    session = open_session(source, job.device, job.threads)
    feeds = trial_feeds(session, job.examples, RACED, job.seed)
    if not feeds:
        return None
    job.progress("timing", 0, 0)

    def raced(given: list[Mapping[str, Array]]) -> Interval:
        return race([source, target], given, seconds=SECONDS, threads=job.threads, device=job.device, seed=job.seed)[1]

    batched = None
    if fixed_batch(session) is None and all(array.ndim for array in feeds[0].values()):
        with suppress(OptkitError):  # an input that belongs to no example
            batched = raced([{name: np.repeat(array[:1], BATCH, axis=0) for name, array in feeds[0].items()}])
    return Speed(raced(list(feeds)), batched)


def refuse_slow(speed: Speed, source: Artifact, what: str, device: str) -> None:
    """Raise NothingPaid where the model is slower for sure."""
    if speed.slower:
        ways = [f"{speed.single.value:.2f} times as long as the original"]
        if speed.batched is not None:
            ways.append(f"in batches of {BATCH} {speed.batched.value:.2f} times")
        hint = "leave it as it is, or take it for its size: --accept-size-only (accept_size_only: true)"
        raise NothingPaid(f"{what} does not pay on {device}: it takes {', '.join(ways)}", where=str(source.path), hint=hint)


def note_speed(speed: Speed, job: Job) -> None:
    """What was timed, as notes that are printed."""
    job.note("measured_ratio", [speed.single.value, speed.single.low, speed.single.high])
    if speed.batched is not None:
        job.note("measured_ratio_in_batches", [BATCH, speed.batched.value, speed.batched.low, speed.batched.high])
