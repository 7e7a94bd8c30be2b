"""Run graphs as they are written and look at tensors inside, a group at a time."""

import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.datasets import Examples
from optkit.errors import OptkitError
from optkit.formats.onnx import LARGEST_DRAFT, save_model
from optkit.formats.onnx_simplify import remove_unused
from optkit.measure.feeds import batches_of, fitted, is_fixed
from optkit.runtimes import Session
from optkit.runtimes.onnxruntime import open_onnx

Values = dict[str, Array]

SURVEYED_TOGETHER = 64
"""Tensors of one example held to learn their sizes: first so many, then as many as those before them let expect to fit."""
HELD = 128 * 2**20
"""Bytes of one model's tensors held at a time."""
MARKS = 1024
"""Numbers kept of a tensor and an example, by which it is known again."""
FLOATS = frozenset({"float16", "float32", "float64"})


@dataclass(frozen=True)
class Seen:
    """What one run told of a tensor."""

    shape: tuple[int, ...]
    dtype: str
    bytes: int
    marks: Array
    """Evenly spaced numbers of it, of the first and the last example."""


class Watched:
    """A model whose inner tensors can be read."""

    def __init__(self, model: ir.Model, where: Path, examples: Examples, threads: int) -> None:
        self.model, self.where, self.examples, self.threads = model, where, examples, threads
        self.seconds = 0.0
        """That an example computes, with tensors read; known after a survey."""

    def open(self, names: Iterable[str]) -> Session:
        """As much of the model as these tensors take, with them as its outputs."""
        copy = self.model.clone()
        wanted = set(names)
        copy.graph.outputs[:] = [v for node in copy.graph for v in node.outputs if v.name in wanted]
        remove_unused(copy)
        return open_graph(copy, self.threads, self.where)

    def survey(self, names: Sequence[str]) -> dict[str, Seen]:
        """Shapes, sizes and marks of those tensors that are floats."""
        ends = self.examples.take(np.unique([0, len(self.examples) - 1]))
        found: dict[str, Seen] = {}
        taken: list[float] = []
        rest = list(names)
        while rest:
            part, rest = _next_portion(rest, found)
            session = self.open(part)
            kinds = {port.name: port.dtype for port in session.outputs}
            floats = [name for name in part if kinds[name] in FLOATS]
            start = time.process_time()
            runs = [session.run(fitted(feed, session.inputs), floats) for feed in feeds(ends, session)] if floats else []
            taken.append((time.process_time() - start) / self.threads / len(ends))
            for name in floats:
                first = runs[0][name]
                marks = np.concatenate([_marks(run[name]) for run in runs])
                found[name] = Seen(first.shape, first.dtype.name, first.nbytes, marks)
        self.seconds = max(taken, default=0.0)
        return found


def open_graph(model: ir.Model, threads: int, where: Path, *, optimize: bool = False) -> Session:
    """Open a graph of ours, as it is written: what the runtime would fuse or fold stays apart. Errors name the file `where`."""
    with tempfile.TemporaryDirectory(prefix="optkit-") as folder:
        path = Path(folder) / "watched.onnx"
        save_model(model, path, largest=LARGEST_DRAFT)
        try:
            session = open_onnx(path, "cpu", threads, optimize=optimize)
        except OptkitError as error:
            error.where = str(where)
            raise
    session.where = str(where)
    return session


def feeds(examples: Examples, session: Session) -> Iterator[Values]:
    """Examples one by one, or in the batch that the model is made for."""
    fixed = is_fixed(session)
    sizes = [port.shape[0] for port in session.inputs if port.shape and isinstance(port.shape[0], int)]
    for _, feed in batches_of(examples, sizes[0] if fixed and not examples.whole else 1, fixed and not examples.whole):
        yield feed


def in_groups(names: Sequence[str], seen: Mapping[str, Seen], fed: Mapping[str, Collection[str]]) -> Iterator[list[str]]:
    """Consecutive names whose tensors, with those they are computed from, can be held together."""
    group: list[str] = []
    held: set[str] = set()
    for name in names:
        more = held | {name, *fed.get(name, ())}
        if group and sum(seen[each].bytes for each in more if each in seen) > HELD:
            yield group
            group, more = [], {name, *fed.get(name, ())}
        group.append(name)
        held = more
    if group:
        yield group


def _next_portion(names: list[str], found: Mapping[str, Seen]) -> tuple[list[str], list[str]]:
    """Names to survey next, and the rest."""
    count = SURVEYED_TOGETHER
    if found:
        count = max(count, HELD * len(found) // max(1, sum(seen.bytes for seen in found.values())))
    return names[:count], names[count:]


def _marks(array: Array) -> Array:
    flat = array.reshape(-1)
    picked = np.linspace(0, flat.size - 1, min(MARKS, flat.size)).astype(np.int64)
    return flat[picked].astype(np.float64)
