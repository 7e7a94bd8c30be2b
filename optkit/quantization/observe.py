"""Activation statistics: run the float model once over the examples, fold every wanted tensor into a histogram, keep nothing else."""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import onnx_ir as ir

from optkit.formats.onnx import save_model
from optkit.quantization.histogram import Histogram
from optkit.runtimes import Session, full_feeds, open_session

if TYPE_CHECKING:
    from collections.abc import Iterator

Array = np.ndarray[Any, np.dtype[Any]]
Progress = Callable[[str, int, int], None]


class Feeds(Protocol):
    """Examples as the model wants them (optkit.datasets.Examples is one)."""

    @property
    def whole(self) -> bool: ...

    def __len__(self) -> int: ...

    def spread(self, count: int) -> "Feeds": ...

    def feeds(self, batch: int = 1) -> "Iterator[dict[str, Array]]": ...


@dataclass
class Observed:
    """What was seen of each tensor, by name."""

    histograms: dict[str, Histogram] = field(default_factory=dict)
    peaks: dict[str, Array] = field(default_factory=dict)
    """Largest magnitude per channel (last axis), where asked for."""
    examples: int = 0


def with_outputs(model: ir.Model, names: Iterable[str]) -> ir.Model:
    """A copy of the model with more of the main graph's tensors as outputs."""
    watched = model.clone()
    wanted = set(names) - {v.name for v in watched.graph.outputs}
    watched.graph.outputs.extend(v for n in watched.graph for v in n.outputs if v.name in wanted)
    return watched


def observe(
    model: ir.Model,
    tensors: Sequence[str],
    examples: Feeds,
    *,
    channels_of: Iterable[str] = (),
    threads: int = 1,
    progress: Progress = lambda what, done, total: None,
) -> Observed:
    """Histograms of `tensors` (of the main graph) over all examples, one at a time; memory does not grow with their number."""
    wanted = list(dict.fromkeys([*tensors, *channels_of]))
    by_channel = set(channels_of)
    with tempfile.TemporaryDirectory(prefix="optkit-") as folder:
        save_model(with_outputs(model, wanted), Path(folder) / "watched.onnx")
        session = open_session(Path(folder) / "watched.onnx", "cpu", threads)
    seen = Observed({name: Histogram() for name in tensors})
    feeds = Once(model, session, examples, wanted)
    for values in feeds:
        for name, value in values.items():
            if name in seen.histograms:
                seen.histograms[name].add(value)
            if name in by_channel and value.ndim and value.size:
                peak = np.abs(value.reshape(-1, value.shape[-1])).max(axis=0)
                seen.peaks[name] = np.maximum(seen.peaks.get(name, np.zeros_like(peak)), peak)
        seen.examples += 1
        progress("calibrating", seen.examples, len(examples))
    return seen


class Once:
    """The values of named tensors, one example at a time."""

    def __init__(self, model: ir.Model, session: Session, examples: Feeds, names: Sequence[str]) -> None:
        self.session, self.examples, self.names = session, examples, list(names)
        self.inputs = {i.name for i in model.graph.inputs}

    def __iter__(self) -> "Iterator[dict[str, Array]]":
        ours = [n for n in self.names if n not in self.inputs]
        for feed in full_feeds(self.session, self.examples):
            values = self.session.run(feed, ours) if ours else {}
            yield {name: np.asarray(feed[name] if name in self.inputs else values[name]) for name in self.names}
