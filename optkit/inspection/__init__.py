"""What is inside a model, what it costs to run, where its time goes, and what would pay."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from optkit.inspection.under_roof import Roofline
from optkit.runtimes import Port


@dataclass(frozen=True)
class Weights:
    """All stored numbers of one data type: initializers, Constant nodes, weights of subgraphs and functions; shared ones once."""

    dtype: str
    tensors: int
    elements: int
    bytes: int


@dataclass(frozen=True)
class Operator:
    """One operator of the graph, its subgraphs and its functions (each call counts)."""

    domain: str
    """Empty for the standard operators."""
    name: str
    count: int
    macs: int
    """Multiply-accumulates of all of them in one inference; 0 where they multiply nothing or it is not known."""


@dataclass(frozen=True)
class Work:
    """Multiply-accumulates (MACs) of one inference, and at which input sizes."""

    macs: int
    sizes: Mapping[str, tuple[int, ...]]
    """Shape of each input that was counted with."""
    assumed: Mapping[str, int]
    """Sizes that the model leaves open and nobody gave."""
    unknown: Mapping[str, int]
    """Operators that could not be counted, such as those of an unknown domain, and how many."""
    notes: tuple[str, ...] = ()
    """What else was taken for granted: which branch ran, how often a loop."""


Can = Literal["int8", "int8 weights", "nothing", "done"]
"""`int8`: computes in integers; `int8 weights`: stored in 8 bits, computed in float; `nothing`: neither; `done`: is quantized."""


@dataclass(frozen=True)
class Part:
    """Operators of one kind with constant weights: how they are stored now, and what they could become."""

    operator: str
    nodes: int
    weight_bytes: int
    """A weight that several operators share counts for the first."""
    macs: int
    now: str
    """`float32`, `int8`, `int8 weights`, `4-bit weights`, …"""
    can: Can


@dataclass(frozen=True)
class OperatorTime:
    """Where time goes: all nodes of one kind, as the runtime fused them."""

    operator: str
    provider: str
    calls: int
    """In one inference."""
    seconds: float
    """In one inference, without what nested graphs take: median over the runs."""
    share: float


@dataclass(frozen=True)
class NodeTime:
    """One node as the runtime runs it: what it fused is called after one of its parts, or after what it gives."""

    node: str
    operator: str
    seconds: float
    """In one inference, without what nested graphs take: median over the runs."""


@dataclass(frozen=True)
class Profile:
    """Time by operator over several runs, measured by ONNX Runtime."""

    device: str
    threads: int
    runs: int
    data: str
    """Which examples were run, or `made-up inputs`."""
    seconds: float
    """One inference from call to return, median over the runs."""
    operators: tuple[OperatorTime, ...]
    """Slowest first."""
    between: float
    """Seconds of an inference spent outside operators: median."""
    slowest: tuple[NodeTime, ...] = ()
    """The nodes that take most, slowest first."""
    unrecorded: float | None = None
    """One inference while nothing is recorded, which makes models of small operators faster; run in turns with those recorded."""


@dataclass(frozen=True)
class Advice:
    """What would pay, and the command that does it."""

    what: str
    command: str | None = None


@dataclass(frozen=True)
class Inspection:
    """Everything `optkit inspect` says of a model."""

    path: str
    bytes: int
    """On disk, external data included."""
    ir_version: int
    opsets: Mapping[str, int]
    producer: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    parameters: int
    """Stored numbers that are no indices, shapes or texts."""
    weights: tuple[Weights, ...]
    """Most bytes first."""
    operators: tuple[Operator, ...]
    """Most frequent first."""
    work: Work
    parts: tuple[Part, ...]
    """Most MACs first."""
    advice: tuple[Advice, ...]
    profile: Profile | None = None
    notes: tuple[str, ...] = ()
    roofline: Roofline | None = None
    interrupted: bool = False
    """Ctrl-C ended it: what was not measured by then is not there."""
    schema: int = 1
    """Of the JSON; raised when what a field means changes."""
