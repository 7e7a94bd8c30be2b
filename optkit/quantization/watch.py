"""The values of named tensors, one example at a time, in as many passes over the examples as memory asks for."""

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import onnx_ir as ir

from optkit.formats.onnx import save_model
from optkit.runtimes import full_feeds
from optkit.runtimes.onnxruntime import OnnxSession, open_onnx

if TYPE_CHECKING:
    from collections.abc import Iterator

Array = np.ndarray[Any, np.dtype[Any]]


class Feeds(Protocol):
    """Examples as the model wants them (optkit.datasets.Examples is one)."""

    @property
    def whole(self) -> bool: ...

    def __len__(self) -> int: ...

    def spread(self, count: int) -> "Feeds": ...

    def feeds(self, batch: int = 1) -> "Iterator[dict[str, Array]]": ...


class Watch:
    """Each example's values of `names` (tensors of the main graph), as a dictionary that is emptied when the next is asked for.

    `limit` is the most memory in bytes that this process may occupy meanwhile: where all values of one example do not fit, the
    names are divided among several passes over the examples, and every dictionary holds one pass's part.
    Raises UsageError before the first pass when `limit` is too little for a single tensor.
    """

    def __init__(self, model: ir.Model, names: Iterable[str], examples: Feeds, threads: int, limit: int | None = None) -> None:
        from optkit.quantization.memory_plan import groups_within

        self.model, self.examples, self.threads = model, examples, threads
        self.limited = limit is not None
        self.inputs = {i.name for i in model.graph.inputs}
        wanted = list(dict.fromkeys(names))
        self.groups = [wanted] if limit is None else groups_within(model, wanted, examples, threads, limit)

    def __len__(self) -> int:
        """How many dictionaries there will be."""
        rows = next((v.shape[0] for v in self.model.graph.inputs if v.shape), None)
        batch = rows if isinstance(rows, int) and rows > 0 and not self.examples.whole else 1
        return len(self.groups) * -(-len(self.examples) // batch)

    def __iter__(self) -> "Iterator[dict[str, Array]]":
        for group in self.groups:
            yield from self._pass(group)

    def _pass(self, group: Sequence[str]) -> "Iterator[dict[str, Array]]":
        ours = [name for name in group if name not in self.inputs]
        # what an arena has once taken it keeps, and it takes twice what it needs
        session = open_watched(with_outputs(self.model, ours), self.threads, arena=not self.limited) if ours else None
        for feed in full_feeds(session, self.examples) if session is not None else self.examples.feeds(1):
            values = session.run(feed, ours) if session is not None else {}
            values |= {name: np.asarray(feed[name]) for name in group if name in self.inputs}
            yield values
            values.clear()


def with_outputs(model: ir.Model, names: Iterable[str]) -> ir.Model:
    """A copy of the model with more of the main graph's tensors as outputs."""
    watched = model.clone()
    wanted = set(names) - {v.name for v in watched.graph.outputs}
    watched.graph.outputs.extend(v for n in watched.graph for v in n.outputs if v.name in wanted)
    return watched


def open_watched(watched: ir.Model, threads: int, *, arena: bool = True, shapes_first: bool = False) -> OnnxSession:
    """Open a model that is in memory, on the CPU."""
    with tempfile.TemporaryDirectory(prefix="optkit-") as folder:
        save_model(watched, Path(folder) / "watched.onnx")
        return open_onnx(Path(folder) / "watched.onnx", "cpu", threads, arena=arena, shapes_first=shapes_first)
