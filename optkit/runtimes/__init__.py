"""Open a model on a device and run batches through it. One file a runtime."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from optkit.formats import format_of

if TYPE_CHECKING:
    import numpy as np

    Feed = Mapping[str, "np.ndarray[tuple[int, ...], np.dtype[np.generic]]"]
    Outputs = dict[str, "np.ndarray[tuple[int, ...], np.dtype[np.generic]]"]


@dataclass(frozen=True)
class Port:
    """An input or output of a model: name, numpy dtype name, and dimensions (a name or None where it may vary)."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]


class Session(Protocol):
    """A model that is loaded on a device and ready to answer."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def run(self, feed: "Feed", outputs: Sequence[str] | None = None) -> "Outputs":
        """Answer one batch; named outputs only, or all."""
        ...

    def bind(self, feed: "Feed") -> Callable[[], None]:
        """A call that answers `feed` again and again with inputs and outputs already on the device, and returns when it is done."""
        ...

    def placement(self) -> dict[str, int]:
        """Nodes per execution provider after the runtime's own optimization."""
        ...


def open_session(model: Path | bytes, device: str = "cpu", threads: int = 1) -> Session:
    """Open a model on a device: `cpu`, `cuda`, `openvino`, or the name of any ONNX Runtime provider.

    Raises UsageError when the device is not there (with what to install) and ModelError when the model does not load.
    `threads` 0 leaves the number to the runtime.
    """
    if isinstance(model, Path) and format_of(model) == "torch":
        from optkit.runtimes.torch import open_torch

        return open_torch(model, device, threads)
    from optkit.runtimes.onnxruntime import open_onnx

    return open_onnx(model, device, threads)


class Takes(Protocol):
    """Something with inputs, such as a session."""

    @property
    def inputs(self) -> tuple[Port, ...]: ...


def fixed_batch(session: Takes) -> int | None:
    """The batch size that a model is made for; None where it is free."""
    sizes = [port.shape[0] for port in session.inputs if port.shape]
    return next((size for size in sizes if isinstance(size, int) and size > 0), None)


def batch_of(session: Session) -> int:
    """The batch size that a model is made for: 1 where it is free."""
    return fixed_batch(session) or 1


class Batches(Protocol):
    """Examples that come in batches, or one whole feed at a time (optkit.datasets.Examples is one)."""

    @property
    def whole(self) -> bool: ...

    def feeds(self, batch: int = 1) -> "Iterator[Feed]": ...


def full_feeds(session: Takes, examples: Batches, batch: int | None = None) -> "Iterator[Feed]":
    """Feeds of `batch` rows, or of as many as the model is made for; where that is fixed the last is filled up with repeats."""
    import numpy as np

    fixed = 0 if examples.whole else fixed_batch(session) or 0
    for feed in examples.feeds(fixed or batch or 1):
        short = fixed > 0 and any(len(array) < fixed for array in feed.values())
        yield {name: np.resize(array, (fixed, *array.shape[1:])) for name, array in feed.items()} if short else feed


def runs_on(device: str) -> bool:
    """Whether ONNX Runtime offers a device here; PyTorch may train on one that it does not."""
    from optkit.errors import UsageError
    from optkit.runtimes._providers import find_provider

    try:
        find_provider(device)
    except UsageError:
        return False
    return True


def available_devices() -> tuple[str, ...]:
    """Every word that names a device on this machine, `cpu` first."""
    from optkit.runtimes._providers import available_words

    return available_words()
