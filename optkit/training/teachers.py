"""Models that others learn from."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np

from optkit.datasets import Array, Examples
from optkit.progress import Progress
from optkit.training.answering import answer_with
from optkit.training.batches import Batch, make_batch
from optkit.training.features import Features
from optkit.training.lengths import lengths_of

if TYPE_CHECKING:
    import torch

ASKED_AT_ONCE = 64
"""Examples: always the same, so that a training that is taken up again learns from the same bits."""
MOST_REMEMBERED = 2 * 10**9
"""Bytes of answers; where all of them together are more, the teacher is asked anew in every epoch."""


Shown = tuple[int, str]
"""Which of a Taught's three, and the name in it."""


@dataclass(frozen=True)
class Taught:
    """What a teacher has to say of a batch."""

    outputs: "Mapping[str, torch.Tensor]"
    hidden: "Mapping[str, torch.Tensor]" = field(default_factory=dict)
    attention: "Mapping[str, torch.Tensor]" = field(default_factory=dict)


class Teacher(Protocol):
    """A model that answers, and does not learn."""

    def __call__(self, batch: Batch) -> Taught: ...
    def to(self, device: str) -> None: ...


class TorchTeacher:
    """A PyTorch module that teaches."""

    def __init__(
        self, module: "torch.nn.Module", outputs: Sequence[str], hidden: Iterable[str] = (), attention: Iterable[str] = ()
    ) -> None:
        with suppress(NotImplementedError):  # an exported program has one mode only
            module.eval()
        self.module, self.outputs = module.requires_grad_(False), tuple(outputs)
        self.features = Features(self.module, hidden, attention, "teacher")

    def __call__(self, batch: Batch) -> Taught:
        found = answer_with(self.module, batch, self.outputs, learning=False)
        return Taught(found, *self.features.take())

    def to(self, device: str) -> None:
        self.module.to(device)


class Remembering:
    """A teacher whose answers, hidden states and maps of the examples are kept: it is asked once for each, before anything is learned.

    It is asked each time for batches that were augmented, and where what it shows follows the length of a text or is too much to keep.
    """

    def __init__(self, teacher: Teacher, examples: Examples, mask: str | None = None) -> None:
        self.teacher, self.examples, self.mask = teacher, examples, mask
        self.known: dict[Shown, Array] = {}

    def remember(self, device: str, progress: Progress) -> None:
        """Ask for everything, where all that it shows has the examples as its first axis and fits into memory."""
        if self.examples.whole:
            return
        found: dict[Shown, Array] = {}
        rows, starts = self._order()
        for start, end in pairwise((*starts, len(rows))):
            progress("the teacher answers", start, len(rows))
            part = rows[start:end]
            answers = _shown(self.teacher(make_batch(self.examples, part, device, mask=self.mask)))
            if start == 0:
                sizes = [value.nbytes / max(1, len(value)) for value in answers.values() if value.ndim]
                fits = sum(sizes) * len(rows) <= MOST_REMEMBERED
                if not fits or any(value.shape[:1] != part.shape for value in answers.values()):
                    return
                found = {name: np.empty((len(rows), *value.shape[1:]), value.dtype) for name, value in answers.items()}
            for name, value in answers.items():
                if value.shape[1:] != found[name].shape[1:]:
                    return
                found[name][part] = value
        self.known = found

    def _order(self) -> tuple[Array, Sequence[int]]:
        """The examples, and where in them each question begins; texts by length, the shortest one alone: answers as long as the text
        then differ in shape, and are not kept.
        """
        count, lengths = len(self.examples), lengths_of(self.examples, self.mask)
        if lengths is None:
            return np.arange(count), range(0, count, ASKED_AT_ONCE)
        return np.argsort(lengths, kind="stable"), (0, *range(1, count, ASKED_AT_ONCE))

    def to(self, device: str) -> None:
        self.teacher.to(device)

    def __call__(self, batch: Batch) -> Taught:
        import torch

        if not self.known or batch.augmented:
            return self.teacher(batch)
        device = next(iter(batch.inputs.values())).device
        seen: tuple[dict[str, torch.Tensor], ...] = ({}, {}, {})
        for (kind, name), value in self.known.items():
            seen[kind][name] = torch.from_numpy(value[batch.rows]).to(device)
        return Taught(*seen)


def _shown(taught: Taught) -> dict[Shown, Array]:
    """As NumPy holds it: bfloat16, which it has not, becomes float32."""
    kinds = (taught.outputs, taught.hidden, taught.attention)
    told = {(kind, name): value.cpu() for kind, values in enumerate(kinds) for name, value in values.items()}
    return {key: (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy() for key, value in told.items()}
