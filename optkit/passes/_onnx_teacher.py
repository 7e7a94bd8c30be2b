"""An ONNX model, run by ONNX Runtime, that others learn from."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from optkit.datasets import Array
from optkit.errors import ModelError, UsageError
from optkit.formats.onnx import load_model
from optkit.quantization.calibration.watched import open_watched, with_outputs
from optkit.registry import suggestion
from optkit.runtimes import fixed_batch, open_session
from optkit.training.batches import Batch
from optkit.training.teachers import Taught

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch


class OnnxTeacher:
    """Answers as ONNX Runtime does; hidden states and attention maps are named tensors of its graph. Raises UsageError, ModelError."""

    def __init__(self, path: Path, threads: int, hidden: Iterable[str] = (), attention: Iterable[str] = (), device: str = "cpu") -> None:
        self.path, self.hidden, self.attention = path, tuple(hidden), tuple(attention)
        plain = open_session(path, device, threads)
        self.inputs, self.fixed = plain.inputs, fixed_batch(plain)
        self.outputs = [port.name for port in plain.outputs]
        inner = [name for name in dict.fromkeys((*self.hidden, *self.attention)) if name not in self.outputs]
        self.session = plain if not inner else open_watched(with_outputs(self._having(inner), inner), threads)

    def _having(self, names: list[str]) -> "ir.Model":
        """The model, which has tensors of these names."""
        model = load_model(self.path)
        known = [str(value.name) for node in model.graph for value in node.outputs]
        for name in names:
            if name not in known:
                hint = f"{suggestion(name, known)[:400]}; `optkit inspect` shows the graph"
                raise UsageError(f"the teacher has no tensor {name!r}", where=str(self.path), hint=hint)
        return model

    def __call__(self, batch: Batch) -> Taught:
        import torch

        device = next(iter(batch.inputs.values())).device
        found = self._asked({name: value.cpu().numpy() for name, value in self._named(batch).items()})
        tensors = {
            name: torch.from_numpy(np.ascontiguousarray(value)).to(device) for name, value in found.items() if value.dtype.kind in "biuf"
        }
        return Taught(
            {name: tensors[name] for name in self.outputs if name in tensors},
            {name: tensors[name] for name in self.hidden},
            {name: tensors[name] for name in self.attention},
        )

    def to(self, device: str) -> None:
        """It stays where it was opened; answers go where the batch is."""

    def _named(self, batch: Batch) -> "dict[str, torch.Tensor]":
        """The batch under the names of the teacher's inputs."""
        wanted = [port.name for port in self.inputs]
        if len(wanted) == 1 == len(batch.inputs):
            return {wanted[0]: next(iter(batch.inputs.values()))}
        missing = [name for name in wanted if name not in batch.inputs]
        if missing:
            what = f"the teacher takes {', '.join(wanted)}, and the data has {', '.join(batch.inputs)}"
            raise ModelError(what, where=str(self.path), hint="name the inputs of student and teacher alike")
        return {name: batch.inputs[name] for name in wanted}

    def _asked(self, feed: dict[str, Array]) -> dict[str, Array]:
        """The answers to a batch, in pieces of the size that the model is made for, the last filled up with repeats."""
        names = [*self.outputs, *(name for name in dict.fromkeys((*self.hidden, *self.attention)) if name not in self.outputs)]
        rows = len(next(iter(feed.values())))
        if self.fixed is None or self.fixed == rows:
            return dict(self.session.run(feed, names))
        pieces = []
        for start in range(0, rows, self.fixed):
            piece = {name: array[start : start + self.fixed] for name, array in feed.items()}
            short = rows - start < self.fixed
            pieces.append(
                self.session.run({k: np.resize(v, (self.fixed, *v.shape[1:])) for k, v in piece.items()} if short else piece, names)
            )
        return {name: np.concatenate([piece[name] for piece in pieces])[:rows] for name in names}
