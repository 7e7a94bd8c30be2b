"""A weight matrix in unsigned integers of 4 or 8 bits; every group of neighbours along its inputs has a scale and a zero point."""

from dataclasses import dataclass, replace

import numpy as np

from optkit.arrays import Array

SIZES = (16, 32, 64, 128, 256)
"""Group sizes that ONNX Runtime has kernels for."""


@dataclass(frozen=True)
class Scheme:
    """How a weight is divided and what its integers may be."""

    bits: int = 4
    size: int = 32
    """Weights in a group; the last group of a row may be shorter."""
    symmetric: bool = False
    """The zero point is the middle of the integers everywhere and takes no space."""
    half: bool = False
    """Scales are rounded to float16, as the activations of the model are."""

    @property
    def top(self) -> int:
        """The largest integer."""
        return int(2**self.bits - 1)

    @property
    def middle(self) -> int:
        return int(2 ** (self.bits - 1))

    def groups(self, inputs: int) -> int:
        """How many groups a row of `inputs` weights has."""
        return -(-inputs // self.size)

    def rounded(self, scales: Array) -> Array:
        """Scales as they are stored, in float32; none is zero."""
        stored = scales.astype(np.float16 if self.half else np.float32).astype(np.float32)
        least = np.float32(np.finfo(np.float16).tiny if self.half else SMALLEST_SCALE)
        return np.where(np.abs(stored) < least, least, stored)

    def fitted(self, inputs: int, *, table: bool = False) -> "Scheme":
        """The same with groups of at most `size` in which rows of `inputs` weights take the least bytes: filling up costs too.

        Zero points of 4 bits share bytes, and where a row of a `table` has an odd number of them, ONNX Runtime up to 1.26 takes the
        wrong ones: such rows have an even number, or the middle for all.
        """

        def row_bytes(size: int) -> float:
            return -(-inputs // size) * (size * self.bits / 8 + (2 if self.half else 4) + self.bits / 8)

        sizes = [s for s in SIZES if s <= self.size]
        if table and self.bits == 4 and not self.symmetric:
            even = [s for s in sizes if -(-inputs // s) % 2 == 0]
            if not even:
                return replace(self, symmetric=True).fitted(inputs)
            sizes = even
        return replace(self, size=min(sizes, key=lambda s: (row_bytes(s), -s)))


SMALLEST_SCALE = 1e-12
"""Of a group of zeros: anything but zero, which has no reciprocal."""


@dataclass(frozen=True)
class Blocked:
    """`(integers - zeros) * scales`, with scales and zeros for each group."""

    integers: Array
    """uint8 [rows, inputs], 0 to `scheme.top`."""
    scales: Array
    """float32 [rows, groups]."""
    zeros: Array
    """uint8 [rows, groups]."""
    scheme: Scheme

    def real(self) -> Array:
        """The float32 weights that it stands for."""
        scales, zeros = (spread(a, self.scheme.size, self.integers.shape[1]) for a in (self.scales, self.zeros))
        return (self.integers.astype(np.float32) - zeros.astype(np.float32)) * scales

    @property
    def nbytes(self) -> int:
        """Bytes that it takes in a file."""
        rows, groups = self.scales.shape
        zeros = 0 if self.scheme.symmetric else rows * -(-groups * self.scheme.bits // 8)
        width = 2 if self.scheme.half else 4
        return int(rows * groups * self.scheme.size * self.scheme.bits // 8 + rows * groups * width + zeros)


def spread(per_group: Array, size: int, inputs: int) -> Array:
    """[rows, groups] → [rows, inputs]."""
    return np.repeat(per_group, size, axis=1)[:, :inputs]


def grouped(rows: Array, size: int) -> Array:
    """[rows, inputs] → [rows, groups, size]; the last group is filled up with zeros."""
    missing = -rows.shape[1] % size
    padded = np.pad(rows, [(0, 0), (0, missing)]) if missing else rows
    return padded.reshape(len(rows), -1, size)


def ungrouped(groups: Array, inputs: int) -> Array:
    """What `grouped` was made from."""
    return groups.reshape(len(groups), -1)[:, :inputs]
