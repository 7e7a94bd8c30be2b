"""Which operators have constant weights, how those are stored now, and what they could become."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from optkit.inspection import Can, Part
from optkit.inspection.contrib_shapes import integer
from optkit.inspection.shapes import STANDARD
from optkit.inspection.stored import NO_WEIGHTS
from optkit.inspection.values import FEW, Stored, Value
from optkit.inspection.walk import Visit

WEIGHTS_AT: dict[str, tuple[int, ...]] = {
    "Conv": (1,),
    "ConvTranspose": (1,),
    "FusedConv": (1,),
    "MatMul": (0, 1),
    "FusedMatMul": (0, 1),
    "Gemm": (0, 1),
    "FusedGemm": (0, 1),
    "Einsum": (0, 1),
    "LSTM": (1, 2),
    "GRU": (1, 2),
    "RNN": (1, 2),
    "Gather": (0,),
    "GatherBlockQuantized": (0,),
    "EmbedLayerNormalization": (2, 3, 4),
    "QEmbedLayerNormalization": (2, 3, 4),
    "Attention": (1,),
    "QAttention": (1,),
    "QLinearConv": (3,),
    "ConvInteger": (1,),
    "QLinearMatMul": (0, 3),
    "QGemm": (3,),
    "MatMulInteger": (0, 1),
    "DynamicQuantizeMatMul": (1,),
    "MatMulIntegerToFloat": (0, 1),
    "DynamicQuantizeLSTM": (1, 2),
    "MatMulNBits": (1,),
}
"""Operators that have weights, and at which inputs."""

INTEGER = frozenset(
    {
        "QLinearConv",
        "ConvInteger",
        "QLinearMatMul",
        "QGemm",
        "MatMulInteger",
        "DynamicQuantizeMatMul",
        "MatMulIntegerToFloat",
        "DynamicQuantizeLSTM",
        "QAttention",
    }
)
"""Operators that compute in integers."""

COMPUTED = frozenset({"Conv", "MatMul", "Gemm", "LSTM"})
"""Operators that optkit makes compute in integers; the weights of all others are stored in 8 bits and computed with in float."""

SPELLED_OUT = frozenset({"FusedConv", "FusedGemm", "FusedMatMul", "Attention"})
"""Operators of ONNX Runtime's own that optkit turns into standard ones first."""

KNOWN = ("", "ai.onnx", "com.microsoft", "com.microsoft.nchwc")
"""Domains in which those names mean those operators."""

NARROW = ("int8", "uint8", "int4", "uint4", "int2", "uint2", "float8", "float4")


def find_parts(visits: Iterable[Visit]) -> tuple[Part, ...]:
    """Operators with constant weights by kind, most MACs first. A weight that several operators share counts for the first."""
    parts: dict[tuple[str, str, Can], Part] = {}
    counted: set[Stored] = set()
    for visit in visits:
        weights = _weights(visit)
        if not weights:
            continue
        tensors = frozenset().union(*(each.made_of for each in weights))
        now = _stored_as(visit, weights[0], max(tensors, key=lambda t: (t.bytes, t.key)))
        key = (visit.node.op_type, now, _can(visit, now))
        part = parts.get(key) or Part(visit.node.op_type, 0, 0, 0, now, key[2])
        new = sum(each.bytes for each in tensors - counted)
        counted |= tensors
        macs = (visit.macs or 0) * visit.times
        parts[key] = replace(part, nodes=part.nodes + 1, weight_bytes=part.weight_bytes + new, macs=part.macs + macs)
    return tuple(sorted(parts.values(), key=lambda p: (-p.macs, -p.weight_bytes, p.operator)))


def _weights(visit: Visit) -> list[Value]:
    places = WEIGHTS_AT.get(visit.node.op_type, ()) if visit.node.domain in KNOWN else ()
    inputs = [visit.inputs[i] for i in places if i < len(visit.inputs)]
    weights = [value for value in inputs if value is not None and value.constant and _holds_weights(value)]
    if not weights or all(value is None or value.constant for value in visit.inputs):
        return []  # computed from constants alone: gone once constants are folded
    if visit.node.op_type == "Gather" and sum(t.elements for t in weights[0].made_of) <= FEW:
        return []  # picks from a shape, not from a table of embeddings
    return weights


def _holds_weights(value: Value) -> bool:
    return any(each.dtype not in NO_WEIGHTS for each in value.made_of)


def _stored_as(visit: Visit, weight: Value, largest: Stored) -> str:
    op_type = visit.node.op_type
    if op_type in INTEGER:
        return "int8"
    if op_type in ("MatMulNBits", "GatherBlockQuantized"):
        return f"{integer(visit.node, 'bits', 4)}-bit weights"
    through = {"DequantizeLinear", "QuantizeLinear"} & weight.through
    if "DequantizeLinear" in through and _fed_by_integers(visit.inputs, weight):
        width = largest.dtype if largest.dtype.startswith(NARROW) else "int8"
        return width.removeprefix("u") if width.endswith("int8") else width
    if largest.dtype.startswith(NARROW):
        return f"{largest.dtype} weights"
    return largest.dtype


def _fed_by_integers(inputs: Sequence[Value | None], weight: Value) -> bool:
    """The activations come out of a DequantizeLinear too, so that the runtime fuses both into an integer operator."""
    others = [value for value in inputs if value is not None and value is not weight and not value.constant]
    return bool(others) and all(value.made_by == "DequantizeLinear" for value in others)


def _can(visit: Visit, now: str) -> Can:
    if visit.node.op_type in INTEGER or now.startswith(NARROW) or now.endswith(" weights"):
        return "done"
    if now not in ("float32", "float16", "bfloat16"):
        return "nothing"
    standard = visit.node.domain in STANDARD
    return "int8" if visit.node.op_type in (COMPUTED if standard else SPELLED_OUT) else "int8 weights"
