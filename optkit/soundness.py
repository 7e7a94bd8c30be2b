"""Whether a model that a pass made still answers: it loads, and its outputs are finite and depend on its inputs, as the source's do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from optkit.datasets import Examples
from optkit.datasets.synthetic import synthetic
from optkit.errors import DataError, ModelError
from optkit.runtimes import Session, open_session

TRIED = 16
"""Examples tried: enough that a model which varies varies among them."""

Array = np.ndarray[Any, np.dtype[Any]]
Answers = Sequence[Mapping[str, Array]]


@dataclass(frozen=True)
class Behaviour:
    """What holds of each floating-point output over the examples tried."""

    finite: Mapping[str, bool]
    varies: Mapping[str, bool]


def examples_for(model: Path, device: str, threads: int, seed: int) -> Examples | None:
    """Made-up examples that a model takes and answers; None where it wants something that cannot be made up."""
    session = open_session(model, device, threads)
    try:
        made_up = synthetic(session.inputs, TRIED, seed)
        session.run(next(iter(made_up.feeds(batch_of(session)))))
    except (DataError, ModelError):
        return None
    return made_up


def observe(model: Path, examples: Examples | None, device: str, threads: int) -> Behaviour | None:
    """Load a model and try it. None where there is nothing to try it on. Raises ModelError, DataError or UsageError."""
    session = open_session(model, device, threads)
    if examples is None:
        return None
    answers = [session.run(feed) for feed in examples.spread(TRIED).feeds(batch_of(session))]
    return behaviour_of(answers)


def behaviour_of(answers: Answers) -> Behaviour:
    """An output varies when two of its answers differ, or two values within one."""
    finite: dict[str, bool] = {}
    varies: dict[str, bool] = {}
    for name in answers[0] if answers else ():
        values = [answer[name] for answer in answers]
        if all(isinstance(value, np.ndarray) and value.dtype.kind == "f" for value in values):
            finite[name] = all(bool(np.isfinite(value).all()) for value in values)
            varies[name] = _vary(values)
    return Behaviour(finite, varies)


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


def batch_of(session: Session) -> int:
    """The batch size the model is made for: 1 where it is free."""
    sizes = [port.shape[0] for port in session.inputs if port.shape]
    return next((size for size in sizes if isinstance(size, int) and size > 0), 1)


def _vary(values: Sequence[Array]) -> bool:
    first = values[0]
    if len(values) == 1:
        rows = first.reshape(len(first), -1) if first.ndim > 1 and len(first) > 1 else first.reshape(1, -1)
        return bool((rows != rows[0]).any()) if len(rows) > 1 else first.size < 2 or bool((first != first.flat[0]).any())
    return any(value.shape != first.shape or not np.array_equal(value, first, equal_nan=True) for value in values[1:])
