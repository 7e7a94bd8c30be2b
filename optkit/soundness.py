"""Whether a model that a pass made still answers: it loads, and its outputs are finite and depend on its inputs, as the source's do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from optkit.arrays import Array
from optkit.datasets import Examples
from optkit.datasets.synthetic import synthetic
from optkit.errors import DataError, ModelError
from optkit.measure.feeds import fitted
from optkit.runtimes import full_feeds, open_session

TRIED = 16
"""Examples tried: enough that a model which varies varies among them."""

Answers = Sequence[Mapping[str, Array]]


@dataclass(frozen=True)
class Behaviour:
    """What holds of each floating-point output over the examples tried."""

    finite: Mapping[str, bool]
    varies: Mapping[str, bool]
    numbers: Mapping[str, bool] = field(default_factory=dict)
    """Whether it is free of NaN; infinity may be meant."""


def examples_for(model: Path, device: str, threads: int, seed: int) -> Examples | None:
    """Made-up examples that a model takes and answers; None where it wants something that cannot be made up."""
    session = open_session(model, device, threads)
    try:
        made_up = synthetic(session.inputs, TRIED, seed)
        session.run(next(full_feeds(session, made_up)))
    except (DataError, ModelError):
        return None
    return made_up


def observe(model: Path, examples: Examples | None, device: str, threads: int) -> Behaviour | None:
    """Load a model and try it, its inputs being of another precision than the examples or not.

    None where there is nothing to try it on. Raises ModelError, DataError or UsageError.
    """
    session = open_session(model, device, threads)
    if examples is None:
        return None
    # a network takes what the examples call otherwise than it does
    answers = [session.run({**feed, **fitted(feed, session.inputs)}) for feed in full_feeds(session, examples.spread(TRIED))]
    return behaviour_of(answers)


def behaviour_of(answers: Answers) -> Behaviour:
    """An output varies when two of its answers differ, or two values within one."""
    finite: dict[str, bool] = {}
    varies: dict[str, bool] = {}
    numbers: dict[str, bool] = {}
    for name in answers[0] if answers else ():
        values = [answer[name] for answer in answers]
        if all(isinstance(value, np.ndarray) and value.dtype.kind == "f" for value in values):
            finite[name] = all(bool(np.isfinite(value).all()) for value in values)
            varies[name] = _vary(values)
            numbers[name] = not any(bool(np.isnan(value).any()) for value in values)
    return Behaviour(finite, varies, numbers)


def check_original(original: Behaviour | None, model: Path) -> None:
    """Raise ModelError where what a model answers to real examples is worth nothing, so that no result can be verified by it."""
    hint = "check the model, and whether the data is prepared as it wants"
    for name, numbers in (original.numbers if original else {}).items():
        if not numbers:
            raise ModelError(f"its output {name!r} holds NaN on these examples", where=str(model), hint=hint)
    if original and original.varies and not any(original.varies.values()):
        raise ModelError("its outputs are the same for all of these examples", where=str(model), hint=hint)


def complaint(before: Behaviour | None, after: Behaviour | None) -> str | None:
    """What became unsound, as a sentence; None when nothing did. What the source did already is not held against the result."""
    if after is None:
        return None
    for name, finite in after.finite.items():
        if not finite and (before is None or before.finite.get(name, True)):
            return f"output {name!r} of the result holds NaN or infinity"
    for name, varies in after.varies.items():
        if not varies and (before is None or before.varies.get(name, True)):
            return f"output {name!r} of the result is the same whatever goes in"
    return None


def _vary(values: Sequence[Array]) -> bool:
    first = values[0]
    if len(values) == 1:
        rows = first.reshape(len(first), -1) if first.ndim > 1 and len(first) > 1 else first.reshape(1, -1)
        return bool((rows != rows[0]).any()) if len(rows) > 1 else first.size < 2 or bool((first != first.flat[0]).any())
    return any(value.shape != first.shape or not np.array_equal(value, first, equal_nan=True) for value in values[1:])
