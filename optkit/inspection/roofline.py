"""Where a model and its operators stand under what the machine can do, and what that lets expect of making it smaller.

The roofline model (Williams, Waterman & Patterson 2009, "Roofline: An Insightful Visual Performance Model for Multicore Architectures",
CACM 52:65): the time of an operator is at least that of its multiplications at the machine's peak, and at least that of moving its bytes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from optkit.arrays import Array
from optkit.inspection import Inspection, Profile, Work
from optkit.inspection.inspect_model import walk_model
from optkit.inspection.integers import Beside, integer_seconds
from optkit.inspection.kernels import crossings, kernel_of
from optkit.inspection.parts import INTEGER
from optkit.inspection.predict import predict, roof_seconds
from optkit.inspection.profile import made_up_examples
from optkit.inspection.under_roof import Bound, Cost, Draft, Kernel, Peaks, Placed, Roofline
from optkit.inspection.values import Value, element_type, known_product
from optkit.inspection.walk import Visit
from optkit.runtimes.onnxruntime import open_onnx

CACHES = 16_000_000
"""Bytes of weights that servers' caches hold; of larger models they are read from memory for each inference."""
KINDS = {"convolution": ("Conv",), "product": ("MatMul", "Gemm"), "attention": ("Attention",)}
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


def roofline(
    found: Inspection,
    peaks: Peaks,
    feed: Mapping[str, Array] | None = None,
    timed: Timer = integer_seconds,
    drafts: Sequence[Draft] | None = None,
    batched: float | None = None,
    halved: float | None = None,
) -> Roofline:
    """Place a model that was profiled. Its file is read again for shapes.

    INT8 is expected to give what `drafts` gave; where none could be tried (None), its kernels are timed in INT8, in turns with the
    model itself on `feed` (else a made-up one). `batched` is how many times as fast examples were in batches, where that was tried,
    and `halved` how many times as fast the model was in FP16.

    Raises ValueError where it was not profiled.
    """
    profile = found.profile
    if profile is None:
        raise ValueError("the model was not profiled")
    costs = [cost for cost in costs_of(Path(found.path), found.work) if cost.macs]
    bandwidth = peaks.cached if sum(w.bytes for w in found.weights) <= CACHES else peaks.bandwidth
    busy = sum(row.seconds for row in profile.operators)
    # on a busy machine a whole inference is disturbed nearly always, and an operator seldom: their medians add up to less
    undisturbed = min(1.0, (busy + profile.between) / profile.seconds) if profile.seconds else 1.0
    whole = (profile.unrecorded or profile.seconds) * undisturbed
    shared, (recording, scale) = shared_out(costs, profile, peaks.float32, bandwidth), unrecorded_of(profile, whole)
    times = [max(seconds - recording * cost.times, seconds * LEAST) * scale for cost, seconds in zip(costs, shared, strict=True)]
    slowest = sorted(zip(costs, times, strict=True), key=lambda each: -each[1])
    kernels = [cost.kernel for cost, _ in slowest if cost.kernel is not None]
    integers: Mapping[Kernel, float] = {}
    if kernels and drafts is None and profile.device == "cpu":
        example = feed or next(made_up_examples(found.inputs, found.work.sizes).feeds(1))
        beside = Beside(open_onnx(Path(found.path), profile.device, profile.threads).bind(example), whole)
        integers = timed(kernels, peaks, beside, profile.device, profile.threads)
    placed = [_placed(cost, seconds, peaks, bandwidth, integers) for cost, seconds in slowest]
    spent = sum(each.seconds for each in placed)
    overhead = peaks.run + peaks.call * sum(row.calls for row in profile.operators)
    return Roofline(
        peaks=peaks,
        seconds=whole,
        macs=found.work.macs,
        bound=_bound(placed, overhead >= whole / 2),
        reached=sum(each.seconds * each.reached for each in placed) / spent if spent else 0.0,
        placed=tuple(placed[:PLACED]),
        predictions=predict(found.path, placed, whole, min(overhead, whole), peaks, bandwidth, profile.device, drafts, batched, halved),
        drafts=tuple(drafts or ()),
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


def costs_of(path: Path, work: Work) -> Iterator[Cost]:
    """What every node has to do, at the sizes that the work was counted with."""
    visits = [visit for visit in walk_model(path, work.sizes).visits if visit.times and visit.node.op_type != "Constant"]
    crossed = crossings(visits)
    for place, visit in enumerate(visits):
        yield _cost(visit, crossed.get(place, 0))


def shared_out(costs: Sequence[Cost], profile: Profile, peak: float, bandwidth: float) -> list[float]:
    """Seconds of each node. The runtime fuses nodes and renames them, so the time of a kind that no name claims is shared out by roof."""
    by_name = {node.node: node.seconds for node in profile.slowest}
    found = [by_name.get(cost.node) for cost in costs]
    for kind in dict.fromkeys(_kind(cost.operator) for cost in costs):
        here = [i for i, cost in enumerate(costs) if _kind(cost.operator) == kind]
        whole = sum(row.seconds for row in profile.operators if _kind(row.operator) == kind)
        unclaimed = [i for i in here if found[i] is None]
        left = max(0.0, whole - sum(found[i] or 0.0 for i in here))
        roofs = [roof_seconds(costs[i].macs, costs[i].moved + costs[i].weights, peak, bandwidth) for i in unclaimed]
        for i, roof in zip(unclaimed, roofs, strict=True):
            found[i] = left * roof / sum(roofs)
    return [seconds or 0.0 for seconds in found]


def _kind(operator: str) -> str:
    """What the runtime may turn into each other: a product with an addition becomes a Gemm."""
    return next((kind for kind, names in KINDS.items() if any(name in operator for name in names)), operator)


def _placed(cost: Cost, seconds: float, peaks: Peaks, bandwidth: float, integers: Mapping[Kernel, float]) -> Placed:
    least: dict[Bound, float] = {
        "compute": cost.macs / (peaks.int8 if cost.integers else peaks.float32),
        "memory": (cost.moved + cost.weights) / bandwidth,
        "overhead": peaks.call * cost.times,
    }
    bound = max(least, key=lambda each: least[each])
    integer = None if cost.kernel is None else integers.get(cost.kernel)
    return Placed(cost, seconds, bound, min(1.0, least[bound] / max(seconds, 1e-9)), None if integer is None else integer * cost.times)


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
