"""Records of the roofline: what the machine can do, what an operator has to do, and what can be expected."""

from dataclasses import dataclass
from typing import Literal

Bound = Literal["compute", "memory", "overhead"]
"""`overhead`: what the runtime takes to call an operator is more than its work can take."""


@dataclass(frozen=True)
class Kernel:
    """What tells how long an operator with weights takes: two nodes with the same kernel take the same time."""

    operator: str
    """`Conv`, `MatMul` (a Gemm too) or `LSTM`."""
    taken: tuple[int, ...]
    """Shape of the input; of a product with all rows together."""
    weights: tuple[tuple[int, ...], ...]
    """Shapes: of a product [depth, width], of an LSTM those of its input and of its state."""
    attributes: tuple[tuple[str, tuple[int, ...] | int | str], ...] = ()


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
    call: float = 0.0
    """Seconds that the runtime takes for an operator whatever it does."""
    run: float = 0.0
    """Seconds that it takes for an inference besides."""
    crossing: float = 0.0
    """Seconds for each value that leaves integers for an operator that has none, and comes back."""


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
    """A convolution with one channel to a group."""
    kernel: Kernel | None = None
    """None where integers cannot compute it."""
    times: int = 1
    """How often it runs in one inference."""
    crossing: int = 0
    """Values of its output that an operator takes which has no integers, such as a Gelu."""
    integers: bool = False
    """It computes in INT8 already."""


@dataclass(frozen=True)
class Placed:
    """An operator under the roof."""

    cost: Cost
    seconds: float
    """In one inference while nothing is recorded: of the node that computes it, and of what is fused into that."""
    bound: Bound
    reached: float
    """Share of what the machine could do at best: roof time / time. 1 as well where it is faster than the models that peaks are of."""
    integer: float | None = None
    """Seconds in INT8, measured by itself with these shapes through the same runtime; None where that was not measured."""
    run_as: str | None = None
    """The node of the profile that computes it; None where that cannot be told."""
    estimated: bool = False
    """Its time is a share of one that was measured: of the node's where that computes several operators, else of its kind's."""


@dataclass(frozen=True)
class Draft:
    """The model in INT8, made with little care, and how fast that ran."""

    method: str
    speedup: float
    """Time of the model / time of the draft, in turns."""
    faithful: bool | None
    """Whether its answers hold by the rules that `optkit quantize` goes by; None where inputs were made up."""


@dataclass(frozen=True)
class Prediction:
    """What one change can be expected to gain."""

    change: str
    """`INT8`, `INT4 weights`, `FP16`, `half the channels`, `batch 8`."""
    speedup: float
    """Time before / after, of an inference of one example."""
    why: str
    command: str | None
    """None where nothing is to be done."""
    at_most: bool = False
    """The least that it can take then, and no expectation."""


@dataclass(frozen=True)
class Roofline:
    """The model under the roof, its slowest operators, and what can be expected."""

    peaks: Peaks
    seconds: float
    """One inference, while nothing is recorded."""
    macs: int
    bound: Bound
    """Where most of the time of operators that multiply goes; `overhead` where calls take half of an inference or more."""
    reached: float
    placed: tuple[Placed, ...]
    predictions: tuple[Prediction, ...]
    drafts: tuple[Draft, ...] = ()
    """In INT8, the fastest first; none where they could not be tried."""
