"""What every kind of source becomes: arrays of feeds, with labels where they are known."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from optkit.arrays import Array


@dataclass(frozen=True, eq=False)
class Examples:
    """Feeds for a model, with labels where they are known.

    `arrays` has one array per model input, the first axis being the examples. Inputs named in `whole` (all or none, in practice)
    have one axis more than the model's input, or are scalars there: each example is one whole feed and is never batched.
    """

    source: str
    """What the user called it, for messages."""
    arrays: Mapping[str, Array]
    labels: Array | None = None
    groups: Array | None = None
    """Examples with the same number depend on each other (frames of one clip)."""
    whole: bool = False
    synthetic: bool = False
    """Made up: what is measured on it is fidelity, never accuracy."""
    columns: Mapping[str, Array] = field(default_factory=dict)
    """More that is known of each example, one value each, to look at parts of the data by."""

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def take(self, rows: slice | Array) -> "Examples":
        """The examples that a slice or an index array picks."""
        return Examples(
            self.source,
            {name: array[rows] for name, array in self.arrays.items()},
            None if self.labels is None else self.labels[rows],
            None if self.groups is None else self.groups[rows],
            self.whole,
            self.synthetic,
            {name: array[rows] for name, array in self.columns.items()},
        )

    def spread(self, count: int) -> "Examples":
        """At most `count` examples, evenly spaced."""
        if count >= len(self):
            return self
        return self.take(np.linspace(0, len(self) - 1, count).round().astype(np.int64))

    def feeds(self, batch: int = 1) -> Iterator[dict[str, Array]]:
        """The examples in order, `batch` at a time; one whole feed at a time where examples are whole feeds."""
        if self.whole:
            for i in range(len(self)):
                yield {name: np.asarray(array[i]) for name, array in self.arrays.items()}
            return
        for i in range(0, len(self), batch):
            yield {name: array[i : i + batch] for name, array in self.arrays.items()}

    @cached_property
    def digest(self) -> str:
        """sha256 over names, shapes, types and bytes of inputs and labels."""
        import hashlib

        total = hashlib.sha256()
        for name, array in [*sorted(self.arrays.items()), ("labels", self.labels), ("groups", self.groups)]:
            if array is not None:
                array = array.astype(str) if array.dtype.kind == "O" else array  # the bytes of objects are addresses
                total.update(f"{name}{array.dtype.str}{array.shape}".encode())
                total.update(np.ascontiguousarray(array).tobytes())
        return total.hexdigest()
