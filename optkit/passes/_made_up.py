"""Inputs made up where no data is given, as far as the model can be judged on such."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from optkit.datasets import Array, Examples
from optkit.datasets.synthetic import synthetic
from optkit.errors import DataError, ModelError
from optkit.formats.onnx_ids import id_limits
from optkit.passes import Job
from optkit.runtimes import Session, full_feeds, open_session

FEW = 4
IDS = 64
"""Examples of ids."""


def made_up_for(session: Session, count: int, seed: int, ids: Mapping[str, int] | None = None) -> Examples:
    """`count` made-up examples, with `ids` below those numbers.

    Raises DataError, with the data that is wanted, where the answers to them are worth nothing.
    """
    if not session.inputs:
        raise DataError("the model has no inputs: it answers the same each time", hint="store its answers in its place")
    wanted = ", ".join(f"{port.name} {port.dtype}[{', '.join(str(size or '?') for size in port.shape)}]" for port in session.inputs)
    hint = f"give real ones with --data examples.npz, one array for each input: {wanted}"
    try:
        examples = synthetic(session.inputs, count, seed, ids)
        feeds = full_feeds(session, examples)
        answers = [session.run(feed) for feed, _ in zip(feeds, range(FEW), strict=False)]
    except (DataError, ModelError) as error:
        raise DataError("the model does not take made-up inputs", hint=hint) from error
    floats = [name for name, value in answers[0].items() if np.asarray(value).dtype.kind == "f"]
    if any(np.isnan(answer[name]).any() for answer in answers for name in floats):
        raise DataError("the model answers made-up inputs with NaN", hint=hint)
    if len(answers) > 1 and not any(_vary([np.asarray(answer[name]) for answer in answers]) for name in answers[0]):
        raise DataError("the model answers all made-up inputs alike", hint=hint)
    return examples


def made_up_ids(model: Path, job: Job) -> Examples | None:
    """Made-up examples of a model that takes ids; None of others."""
    if not (ids := id_limits(model)):
        return None
    return made_up_for(open_session(model, job.device, job.threads), IDS, job.seed + 1, ids)  # others than those that judge


def _vary(values: list[Array]) -> bool:
    return any(not np.array_equal(value, values[0]) for value in values[1:])
