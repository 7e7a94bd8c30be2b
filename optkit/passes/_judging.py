"""Which examples a pass learns from, and which others its result is judged on."""

from pathlib import Path

import numpy as np

from optkit.artifact import Artifact
from optkit.datasets import Examples
from optkit.formats.onnx import model_size
from optkit.formats.onnx_ids import id_limits
from optkit.passes import Job
from optkit.passes._made_up import made_up_for
from optkit.runtimes import open_session

HELD_OUT = 16
"""Examples that fidelity and time are judged on, and nothing is calibrated on."""
JUDGED = 48
"""Examples that fidelity is judged on in all, of a model that is not large: few answers change, so it takes many to tell how many."""
LARGE = 100 << 20
"""Bytes."""
ENOUGH_TO_SPLIT = 3 * HELD_OUT


def judged_of(model: Path) -> int:
    """How many examples an ONNX model is judged on."""
    return JUDGED if model_size(model) < LARGE else HELD_OUT


def learned_and_judged(source: Artifact, job: Job, samples: int, judged: int = HELD_OUT) -> tuple[Examples | None, Examples]:
    """The job's examples as `split` divides them; without real ones nothing is calibrated, and made-up ones are judged on.

    Raises DataError where the model's answers to made-up ones are worth nothing.
    """
    if job.examples is not None and not job.examples.synthetic:
        return split(job.examples, samples, judged)
    return None, made_up_for(open_session(source.path, job.device, job.threads), HELD_OUT, job.seed, id_limits(source.path))


def never_learned(examples: Examples | None) -> int:
    """How many of the first judged ones of `split` are not among those to calibrate on."""
    return HELD_OUT if examples is not None and not examples.synthetic and len(examples) >= ENOUGH_TO_SPLIT else 0


def split(examples: Examples, samples: int, judged: int = HELD_OUT) -> tuple[Examples, Examples]:
    """Examples to calibrate on and others to judge on, held-out ones first; where there are few, all serve for both.

    The first judged ones are from all over, since of a slow model no more are looked at.
    """
    held_out = np.linspace(0, len(examples) - 1, min(HELD_OUT, len(examples))).round().astype(np.int64)
    rest = np.setdiff1d(np.arange(len(examples)), held_out)
    more = rest[np.linspace(0, len(rest) - 1, max(0, min(judged - HELD_OUT, len(rest)))).round().astype(np.int64)]
    learned = examples if len(examples) < ENOUGH_TO_SPLIT else examples.take(rest)
    return learned.spread(samples), examples.take(np.concatenate([held_out, more]))
