"""Where a model and its operators stand under what the machine can do, and what that lets expect of making it smaller.

The roofline model (Williams, Waterman & Patterson 2009, "Roofline: An Insightful Visual Performance Model for Multicore Architectures",
CACM 52:65): the time of an operator is at least that of its multiplications at the machine's peak, and at least that of moving its bytes.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from optkit.inspection import Inspection, Profile, Work
from optkit.inspection.inspect_model import walk_model
from optkit.inspection.predict import predict, roof_seconds
from optkit.inspection.under_roof import Cost, Peaks, Placed, Roofline
from optkit.inspection.values import Value, element_type, known_product
from optkit.inspection.walk import Visit

CACHES = 16_000_000
"""Bytes of weights that servers' caches hold; of larger models they are read from memory for each inference."""
KINDS = {"convolution": ("Conv",), "product": ("MatMul", "Gemm"), "attention": ("Attention",)}
PLACED = 10
"""Operators that are shown, the slowest first."""
BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
"""ONNX element type → bytes."""


def roofline(found: Inspection, peaks: Peaks) -> Roofline:
    """Place a model that was profiled. Its file is read again for shapes. Raises ValueError where it was not profiled."""
    profile = found.profile
    if profile is None:
        raise ValueError("the model was not profiled")
    costs = [cost for cost in costs_of(Path(found.path), found.work) if cost.macs]
    bandwidth = peaks.cached if sum(w.bytes for w in found.weights) <= CACHES else peaks.bandwidth
    times = shared_out(costs, profile, peaks.float32, bandwidth)
    multiplying = sorted((_placed(c, t, peaks, bandwidth) for c, t in zip(costs, times, strict=True)), key=lambda each: -each.seconds)
    spent = sum(each.seconds for each in multiplying)
    by_compute = sum(each.seconds for each in multiplying if each.bound == "compute")
    roof = sum(each.seconds * each.reached for each in multiplying)
    return Roofline(
        peaks=peaks,
        seconds=profile.seconds,
        macs=found.work.macs,
        bound="compute" if by_compute >= spent / 2 else "memory",
        reached=roof / spent if spent else 0.0,
        placed=tuple(multiplying[:PLACED]),
        predictions=predict(found.path, multiplying, _busy(profile), peaks, bandwidth, profile.device),
    )


def costs_of(path: Path, work: Work) -> Iterator[Cost]:
    """What every node has to do, at the sizes that the work was counted with."""
    for visit in walk_model(path, work.sizes).visits:
        if visit.times and visit.node.op_type != "Constant":
            yield _cost(visit)


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


def _placed(cost: Cost, seconds: float, peaks: Peaks, bandwidth: float) -> Placed:
    compute, memory = cost.macs / peaks.float32, (cost.moved + cost.weights) / bandwidth
    return Placed(cost, seconds, "compute" if compute >= memory else "memory", min(1.0, max(compute, memory) / max(seconds, 1e-9)))


def _cost(visit: Visit) -> Cost:
    node = visit.node
    weights = sum(_bytes(value) for value in visit.inputs if value is not None and value.constant)
    moved = sum(_bytes(value) for value in visit.inputs if value is not None and not value.constant)
    moved += sum(_bytes(value) for value in visit.outputs)
    name = node.name or (node.output[0] if node.output else "")
    return Cost(name, node.op_type, (visit.macs or 0) * visit.times, moved * visit.times, weights, _depthwise(visit))


def _depthwise(visit: Visit) -> bool:
    if visit.node.op_type != "Conv" or len(visit.inputs) < 2 or visit.inputs[1] is None:
        return False
    dims = visit.inputs[1].dims
    return dims is not None and len(dims) > 2 and dims[1] == 1


def _bytes(value: Value) -> int:
    dims = value.dims
    elements = None if dims is None else known_product(dims)
    return 0 if elements is None else elements * BYTES.get(element_type(value.type), 4)


def _busy(profile: Profile) -> float:
    """Seconds of an inference in operators."""
    return sum(row.seconds for row in profile.operators)
