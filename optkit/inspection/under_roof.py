"""Records of the roofline: what the machine can do, what an operator has to do, and what can be expected."""

from dataclasses import dataclass
from typing import Literal

Bound = Literal["compute", "memory"]


@dataclass(frozen=True)
class Peaks:
    """The most that was reached, by models of one operator."""

    float32: float
    """Multiply-accumulates a second."""
    int8: float
    float16: float | None
    """None where the runtime has no kernels for it."""
    bandwidth: float
    """Bytes a second that are read from main memory."""
    cached: float
    """Bytes a second of what stays in the processor's caches from one inference to the next."""


@dataclass(frozen=True)
class Cost:
    """What one node of the file has to do in one inference."""

    node: str
    operator: str
    macs: int
    moved: int
    """Bytes of activations that it reads and writes."""
    weights: int
    """Bytes of weights."""
    depthwise: bool
    """A convolution with one channel to a group, which integers do not speed up."""


@dataclass(frozen=True)
class Placed:
    """An operator as the runtime runs it, under the roof."""

    cost: Cost
    seconds: float
    bound: Bound
    reached: float
    """Share of what the machine could do at best: roof time / time."""


@dataclass(frozen=True)
class Prediction:
    """What one change can be expected to gain."""

    change: str
    """`INT8`, `INT4 weights`, `FP16`, `half the channels`, `batch 8`."""
    speedup: float
    """Time before / after, of an inference of one example."""
    why: str
    command: str | None
    """None where nothing is to be done: it is a matter of how the model is called."""


@dataclass(frozen=True)
class Roofline:
    """The model under the roof, its slowest operators, and what can be expected."""

    peaks: Peaks
    seconds: float
    """One inference."""
    macs: int
    bound: Bound
    """Where most of the time of operators that multiply goes."""
    reached: float
    placed: tuple[Placed, ...]
    predictions: tuple[Prediction, ...]
