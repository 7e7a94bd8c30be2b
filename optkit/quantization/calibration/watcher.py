"""How activations are watched, said once and handed on: on which examples, with how many threads, within how much memory."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import onnx_ir as ir

from optkit.progress import Progress, silent
from optkit.quantization.calibration.feeds import Feeds
from optkit.quantization.calibration.watch import Watch


@dataclass(frozen=True)
class Watcher:
    """Watches tensors of any model on the same examples, and tells how far it is."""

    examples: Feeds
    threads: int = 1
    max_memory: int | None = None
    """Bytes that this process may occupy meanwhile; None for as many as it takes."""
    progress: Progress = silent

    def watch(self, model: ir.Model, names: Iterable[str]) -> Watch:
        """Values of these tensors; raises UsageError where `max_memory` is too little for one of them."""
        return Watch(model, names, self.examples, self.threads, self.max_memory)

    def spread(self, count: int) -> "Watcher":
        """The same on so many of the examples at most, evenly spaced."""
        return replace(self, examples=self.examples.spread(count))
