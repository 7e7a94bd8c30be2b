"""Where a model and its operators stand under what the machine can do, and what that lets expect of making it smaller.

The roofline model (Williams, Waterman & Patterson 2009, "Roofline: An Insightful Visual Performance Model for Multicore Architectures",
CACM 52:65): the time of an operator is at least that of its multiplications at the machine's peak, and at least that of moving its bytes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from optkit.arrays import Array
from optkit.errors import OptkitError
from optkit.inspection import Inspection, Profile
from optkit.inspection.fused import Fused, first_tensor, fused_nodes
from optkit.inspection.inspect_model import walk_model
from optkit.inspection.integers import Beside, integer_seconds
from optkit.inspection.kernels import crossings, kernel_of
from optkit.inspection.parts import INTEGER
from optkit.inspection.predict import predict
from optkit.inspection.profile import made_up_examples
from optkit.inspection.spent import Spent, time_spent
from optkit.inspection.under_roof import Bound, Cost, Draft, Kernel, Peaks, Placed, Roofline
from optkit.inspection.values import Value, element_type, known_product
from optkit.inspection.walk import Visit
from optkit.runtimes.onnxruntime import open_onnx
from optkit.runtimes.rewritten import open_rewritten

CACHES = 16_000_000
"""Bytes of weights that servers' caches hold; of larger models they are read from memory for each inference."""
OUTER = ("If", "Loop", "Scan")
MOST_RECORDING = 5e-6
LEAST = 0.25
"""Of its time as recorded, that an operator takes at least when nobody records it."""
PLACED = 10
"""Operators that are shown, the slowest first."""
BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
"""ONNX element type → bytes."""


Timer = Callable[[Sequence[Kernel], Peaks, Beside, str, int], Mapping[Kernel, float]]
"""Seconds of kernels in INT8, on a device with so many threads."""


@dataclass(frozen=True)
class Tried:
    """What of the changes that could pay was tried."""

    drafts: Sequence[Draft] | None = None
    """In INT8; None where there could be none."""
    halved: float | None = None
    """How many times as fast the model was in FP16."""
    batched: float | None = None
    """How many times as fast examples were in batches."""
    in_batches: bool = True
    """Whether the model takes any."""
    kernels: bool = True
    """Whether kernels may be timed in INT8 where there are no drafts."""


NOTHING_TRIED = Tried()


def roofline(
    found: Inspection, peaks: Peaks, feed: Mapping[str, Array] | None = None, timed: Timer = integer_seconds, tried: Tried = NOTHING_TRIED
) -> Roofline:
    """Place a model that was profiled, every node by its name. Its file is read again for shapes, and opened for what the runtime fuses.

    INT8 is expected to give what drafts gave; where there are none, its kernels are timed in INT8, in turns with the model itself on
    `feed` (else a made-up one).

    Raises ValueError where it was not profiled.
    """
    profile = found.profile
    if profile is None:
        raise ValueError("the model was not profiled")
    path = Path(found.path)
    walk = walk_model(path, found.work.sizes)
    costs = [(tensor, cost) for tensor, cost in costs_of(walk.visits) if cost.macs]
    bandwidth = peaks.cached if sum(w.bytes for w in found.weights) <= CACHES else peaks.bandwidth
    busy = sum(row.seconds for row in profile.operators)
    # on a busy machine a whole inference is disturbed nearly always, and an operator seldom: their medians add up to less
    undisturbed = min(1.0, (busy + profile.between) / profile.seconds) if profile.seconds else 1.0
    whole = (profile.unrecorded or profile.seconds) * undisturbed
    nodes = _as_run(path, profile, walk.model.graph, [tensor for tensor, _ in costs])
    spent = time_spent(costs, profile, nodes, peaks.float32, bandwidth)
    slowest = sorted(_unrecorded(costs, spent, profile, whole), key=lambda each: -each[1].seconds)
    kernels = [cost.kernel for cost, _ in slowest if cost.kernel is not None]
    integers: Mapping[Kernel, float] = {}
    if kernels and tried.kernels and tried.drafts is None and profile.device == "cpu":
        example = feed or next(made_up_examples(found.inputs, found.work.sizes).feeds(1))
        beside = Beside(open_onnx(path, profile.device, profile.threads).bind(example), whole)
        integers = timed(kernels, peaks, beside, profile.device, profile.threads)
    placed = [_placed(cost, each, peaks, bandwidth, integers) for cost, each in slowest]
    multiplying = sum(each.seconds for each in placed)
    overhead = peaks.run + peaks.call * sum(row.calls for row in profile.operators)
    return Roofline(
        peaks=peaks,
        seconds=whole,
        macs=found.work.macs,
        bound=_bound(placed, overhead >= whole / 2),
        reached=sum(each.seconds * each.reached for each in placed) / multiplying if multiplying else 0.0,
        placed=tuple(placed[:PLACED]),
        predictions=predict(
            found.path,
            placed,
            whole,
            min(overhead, whole),
            peaks,
            bandwidth,
            profile.device,
            tried.drafts,
            tried.batched,
            tried.halved,
            in_batches=tried.in_batches,
        ),
        drafts=tuple(tried.drafts or ()),
    )


def _bound(placed: Sequence[Placed], overhead: bool) -> Bound:
    """What most of the time goes into."""
    spent: dict[Bound, float] = {"compute": 0.0, "memory": 0.0, "overhead": 0.0}
    for each in placed:
        spent[each.bound] += each.seconds
    return "overhead" if overhead else max(spent, key=lambda bound: spent[bound])


def unrecorded_of(profile: Profile, whole: float) -> tuple[float, float]:
    """What to take from recorded times: seconds from each call, and then the factor that makes them add up to an inference.

    Being recorded costs each call some microseconds; what it costs those inside other operators stands with the outer ones.
    """
    inner = [row for row in profile.operators if row.operator not in OUTER]
    busy, calls = sum(row.seconds for row in inner), sum(row.calls for row in inner)
    cost = min(MOST_RECORDING, max(0.0, busy - whole) / calls) if calls else 0.0
    left = busy - cost * calls
    return cost, min(1.0, whole / left) if left > 0 else 1.0


def _as_run(path: Path, profile: Profile, graph: onnx.GraphProto, heavy: Sequence[str]) -> Sequence[Fused]:
    """The nodes that the runtime makes of heavy operators; none where it does not tell, as of what a device compiles."""
    try:
        _, rewritten = open_rewritten(path, profile.device, profile.threads)
    except OptkitError:
        return ()
    return fused_nodes(graph, rewritten, heavy)


def _unrecorded(costs: Sequence[tuple[str, Cost]], spent: Sequence[Spent], profile: Profile, whole: float) -> Iterator[tuple[Cost, Spent]]:
    """Every operator with its time while nothing is recorded."""
    recording, scale = unrecorded_of(profile, whole)
    for (_, cost), each in zip(costs, spent, strict=True):
        yield cost, replace(each, seconds=max(each.seconds - recording * cost.times, each.seconds * LEAST) * scale)


def costs_of(visits: Sequence[Visit]) -> Iterator[tuple[str, Cost]]:
    """What every operator that runs has to do, by the first tensor that it gives."""
    running = [visit for visit in visits if visit.times and visit.node.op_type != "Constant"]
    crossed = crossings(running)
    for place, visit in enumerate(running):
        yield first_tensor(visit.node), _cost(visit, crossed.get(place, 0))


def _placed(cost: Cost, spent: Spent, peaks: Peaks, bandwidth: float, integers: Mapping[Kernel, float]) -> Placed:
    least: dict[Bound, float] = {
        "compute": cost.macs / (peaks.int8 if cost.integers else peaks.float32),
        "memory": (cost.moved + cost.weights) / bandwidth,
        "overhead": peaks.call * cost.times,
    }
    bound = max(least, key=lambda each: least[each])
    integer = None if cost.kernel is None else integers.get(cost.kernel)
    return Placed(
        cost,
        spent.seconds,
        bound,
        min(1.0, least[bound] / max(spent.seconds, 1e-9)),
        None if integer is None else integer * cost.times,
        spent.run_as,
        spent.estimated,
    )


def _cost(visit: Visit, crossing: int) -> Cost:
    node = visit.node
    weights = sum(_bytes(value) for value in visit.inputs if value is not None and value.constant)
    moved = sum(_bytes(value) for value in visit.inputs if value is not None and not value.constant)
    moved += sum(_bytes(value) for value in visit.outputs)
    name = node.name or (node.output[0] if node.output else "")
    macs, moved = (visit.macs or 0) * visit.times, moved * visit.times
    kernel, integers = kernel_of(visit), _in_integers(visit)
    return Cost(name, node.op_type, macs, moved, weights, _depthwise(visit), kernel, visit.times, crossing * visit.times, integers)


def _in_integers(visit: Visit) -> bool:
    """What computes in INT8: an operator for integers, or one all of whose inputs come out of a DequantizeLinear."""
    taken = [value for value in visit.inputs[:2] if value is not None]
    return visit.node.op_type in INTEGER or (
        len(taken) == 2 and all(value.made_by == "DequantizeLinear" or "DequantizeLinear" in value.through for value in taken)
    )


def _depthwise(visit: Visit) -> bool:
    if visit.node.op_type != "Conv" or len(visit.inputs) < 2 or visit.inputs[1] is None:
        return False
    dims = visit.inputs[1].dims
    return dims is not None and len(dims) > 2 and dims[1] == 1


def _bytes(value: Value) -> int:
    dims = value.dims
    elements = None if dims is None else known_product(dims)
    return 0 if elements is None else elements * BYTES.get(element_type(value.type), 4)
