"""Whether a rewritten model still gives the answers of the one it was made from, on examples or, without any, on made-up inputs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from optkit.arrays import Array
from optkit.errors import OptkitError
from optkit.runtimes import Port, Session, open_session

if TYPE_CHECKING:
    from optkit.datasets import Examples

Feed = Mapping[str, Array]

TOLERANCE = 1e-4
"""Of an output's largest magnitude: rounding in another order stays far below, a wrong graph far above."""
TIES = 0.01
"""Share of integer answers that may differ: rounding decides between two classes that score alike."""
TRIED = 8
NO_FEEDS = "nothing: no examples were given, and the model accepts no made-up inputs"
FREE_SIZES = (16, 64, 224, 1, 512)
"""Tried in turn where a model leaves a size open: some need room for their strides, others fix it in the graph."""
BATCH = 2
BELOW = (50, 2)
"""Made-up integers are smaller than this: they are mostly indices into a table."""


@dataclass(frozen=True)
class Likeness:
    """What a trial of two models found."""

    on: str
    """What they were tried on: `8 examples`, or `nothing: …` with the reason."""
    difference: str | None = None
    """The first answer that is not the same but for rounding, as a clause."""


def try_both(before: Path, after: Path, examples: "Examples | None", *, threads: int = 1, seed: int = 0) -> Likeness:
    """Run two models on the CPU on the same feeds. Raises ModelError when the first does not load, DataError when examples do not fit."""
    first = open_session(before, "cpu", threads)
    feeds = trial_feeds(first, examples, seed=seed)
    try:
        second = open_session(after, "cpu", threads)
    except OptkitError as error:
        return Likeness("nothing", f"it does not load: {error.what}")
    if not feeds:
        return Likeness(NO_FEEDS)
    if difference(first, first, feeds[:1]):
        return Likeness("nothing: the model answers at random")
    return Likeness(f"{len(feeds)} {'made-up inputs' if examples is None else 'examples'}", difference(first, second, feeds))


def trial_feeds(session: Session, examples: "Examples | None", count: int = TRIED, seed: int = 0) -> list[Feed]:
    """Up to `count` feeds that the model accepts: examples, evenly spread, or made-up ones; empty when it accepts none of those."""
    if examples is not None:
        batch = next((p.shape[0] for p in session.inputs if p.shape and isinstance(p.shape[0], int) and p.shape[0] > 0), 1)
        return list(examples.spread(count * (1 if examples.whole else batch)).feeds(batch))
    for size in FREE_SIZES:
        for below in BELOW:
            feeds = list(_made_up(session.inputs, size, below, count, seed))
            if _accepts(session, feeds):
                return feeds
    return []


def difference(before: Session, after: Session, feeds: Sequence[Feed]) -> str | None:
    """The first answer that is not the same but for rounding, as a clause; None when there is none."""
    for feed in feeds:
        expected = before.run(feed)
        try:
            got = after.run(feed)
        except OptkitError as error:
            return f"it does not run: {error.what}"
        for name, truth in expected.items():
            if name not in got:
                return f"output {name!r} is missing"
            if found := _unlike(np.asarray(truth), np.asarray(got[name])):
                return f"output {name!r} {found}"
    return None


def _unlike(truth: Array, got: Array) -> str | None:
    if truth.dtype != got.dtype or truth.shape != got.shape:
        return f"is {got.dtype}{list(got.shape)} in place of {truth.dtype}{list(truth.shape)}"
    if truth.dtype.kind not in "fc":
        share = float(np.mean(truth != got)) if truth.size else 0.0
        return f"differs in {share:.1%} of its values" if share > TIES else None
    if not np.array_equal(np.isfinite(truth), np.isfinite(got)):
        return "has NaN or infinity in other places"
    finite = np.isfinite(truth)
    scale = float(np.abs(truth[finite]).max(initial=0.0))
    error = float(np.abs(truth[finite].astype(np.float64) - got[finite]).max(initial=0.0))
    return f"is off by {error:.2g} where it reaches {scale:.2g}" if error > TOLERANCE * max(scale, 1e-6) else None


def _accepts(session: Session, feeds: Sequence[Feed]) -> bool:
    """Whether a feed runs; of indices each may be the one that is too large, so there all must."""
    indices = any(np.asarray(array).dtype.kind in "iu" for feed in feeds[:1] for array in feed.values())
    try:
        return bool(feeds) and all(session.run(feed) for feed in (feeds if indices else feeds[:1]))
    except OptkitError:
        return False


def _made_up(ports: Sequence[Port], size: int, below: int, count: int, seed: int) -> Iterator[Feed]:
    draw = np.random.default_rng(seed)
    shapes = _shapes(ports, size)
    for _ in range(count):
        feed = {port.name: _values(port, shape, below, draw) for port, shape in zip(ports, shapes, strict=True)}
        if any(array is None for array in feed.values()):
            return
        yield {name: array for name, array in feed.items() if array is not None}


def _shapes(ports: Sequence[Port], size: int) -> list[tuple[int, ...]]:
    """The first size that an input leaves open is taken for the batch; equal names get equal sizes."""
    named: dict[str, int] = {}
    shapes = []
    for port in ports:
        open_sizes = iter((BATCH,))
        shape = []
        for each in port.shape:
            chosen = each if isinstance(each, int) else next(open_sizes, size)
            shape.append(named.setdefault(each, chosen) if isinstance(each, str) else chosen)
        shapes.append(tuple(shape))
    return shapes


def _values(port: Port, shape: tuple[int, ...], below: int, draw: np.random.Generator) -> Array | None:
    try:
        dtype = np.dtype(port.dtype)
    except TypeError:  # sequences, optionals, bfloat16
        return None
    if dtype.kind == "f":
        return np.asarray(draw.standard_normal(shape)).astype(dtype)
    if dtype.kind in "iu":
        mask = "mask" in port.name
        numbers = np.asarray(draw.integers(0, 2 if mask else below, shape))
        if mask and numbers.ndim:
            numbers[..., 0] = 1  # a mask that leaves nothing makes some models answer NaN
        return numbers.astype(dtype)
    return np.asarray(draw.integers(0, 2, shape)).astype(dtype) if dtype.kind == "b" else None
