"""Shapes of operators that onnx itself cannot tell: those that ONNX Runtime adds (domain com.microsoft, a few in the standard domain)
and those of classical models (ai.onnx.ml)."""

from collections.abc import Callable, Sequence

import onnx

from optkit.inspection.values import Dims, Value, element_type, tensor_type

TWINS: dict[str, tuple[str, tuple[int, ...]]] = {
    "FusedConv": ("Conv", (0, 1)),
    "FusedGemm": ("Gemm", (0, 1)),
    "GemmFastGelu": ("MatMul", (0, 1)),
    "DynamicQuantizeMatMul": ("MatMul", (0, 1)),
    "MatMulIntegerToFloat": ("MatMul", (0, 1)),
    "QGemm": ("Gemm", (0, 3)),
    "QLinearAdd": ("Add", (0, 3)),
    "QLinearMul": ("Mul", (0, 3)),
    "QLinearWhere": ("Where", (0, 1, 4)),
    "QLinearAveragePool": ("AveragePool", (0,)),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", (0,)),
    "DynamicQuantizeLSTM": ("LSTM", (0, 1, 2)),
    "QLinearConv": ("Conv", (0, 3)),
}
"""Operators whose output has the shape that a standard operator gives for the inputs at these places."""

LIKE_FIRST = frozenset(
    {
        "LayerNormalization",
        "SimplifiedLayerNormalization",
        "SkipLayerNormalization",
        "SkipSimplifiedLayerNormalization",
        "SkipGroupNorm",
        "GroupNorm",
        "BiasAdd",
        "BiasGelu",
        "BiasDropout",
        "BiasSoftmax",
        "Gelu",
        "FastGelu",
        "QuickGelu",
        "QuantizeLinear",
        "DequantizeLinear",
        "QLinearSigmoid",
        "QLinearLeakyRelu",
        "QLinearSoftmax",
        "RotaryEmbedding",
        "Trilu",
        "Scaler",
        "Normalizer",
        "Imputer",
        "Binarizer",
        "LabelEncoder",
    }
)
"""The output has the shape of the first input."""


def standard_twin(node: onnx.NodeProto, inputs: Sequence[Value | None]) -> tuple[onnx.NodeProto, list[Value | None]] | None:
    """The standard operator with the same shapes, on float inputs, which it takes in any case."""
    if integer(node, "channels_last"):
        return None
    op_type, places = ("Concat", tuple(range(2, len(inputs), 3))) if node.op_type == "QLinearConcat" else TWINS.get(node.op_type, ("", ()))
    if not places or max(places) >= len(inputs):
        return None
    allowed = onnx.defs.get_schema(op_type, onnx.defs.onnx_opset_version()).attributes
    twin = onnx.NodeProto(op_type=op_type, output=node.output[:1], attribute=[a for a in node.attribute if a.name in allowed])
    twin.input.extend(node.input[i] for i in places)
    return twin, [_as_float(inputs[i]) for i in places]


def _as_float(value: Value | None) -> Value | None:
    if value is None or element_type(value.type) == onnx.TensorProto.BOOL:
        return value
    return Value(tensor_type(onnx.TensorProto.FLOAT, value.dims))


def contrib_dims(node: onnx.NodeProto, inputs: Sequence[Value | None]) -> Dims | None:
    """Shape of the first output, or None if it cannot be told."""
    if node.op_type in LIKE_FIRST:
        return _dims(inputs, 0)
    rule = RULES.get(node.op_type)
    return rule(node, inputs) if rule else None


def integer(node: onnx.NodeProto, name: str, default: int = 0) -> int:
    """An integer attribute of a node."""
    return next((a.i for a in node.attribute if a.name == name), default)


def _dims(inputs: Sequence[Value | None], index: int) -> Dims | None:
    value = inputs[index] if index < len(inputs) else None
    return None if value is None else value.dims


def _fused_matmul(node: onnx.NodeProto, inputs: Sequence[Value | None]) -> Dims | None:
    a, b = _dims(inputs, 0), _dims(inputs, 1)
    if a is None or b is None or len(a) < 2 or len(b) < 2:
        return None
    rows = a[-1] if integer(node, "transA") else a[-2]
    columns = b[-2] if integer(node, "transB") else b[-1]
    return (*(a if len(a) >= len(b) else b)[:-2], rows, columns)


def _blockwise_matmul(node: onnx.NodeProto, inputs: Sequence[Value | None]) -> Dims | None:
    a = _dims(inputs, 0)
    return None if a is None else (*a[:-1], integer(node, "N"))


def _attention(node: onnx.NodeProto, inputs: Sequence[Value | None]) -> Dims | None:
    x, w = _dims(inputs, 0), _dims(inputs, 1)
    sizes = next((tuple(a.ints) for a in node.attribute if a.name == "qkv_hidden_sizes"), ())
    if x is None or w is None:
        return None
    return (*x[:2], sizes[2] if sizes else None if w[-1] is None else w[-1] // 3)


def _multi_head_attention(node: onnx.NodeProto, inputs: Sequence[Value | None]) -> Dims | None:
    query, value = _dims(inputs, 0), _dims(inputs, 2)
    if query is None:
        return None
    if len(query) == 5:  # packed: batch, length, heads, 3, head size
        return (*query[:2], None if None in (query[2], query[4]) else (query[2] or 0) * (query[4] or 0))
    if value is not None and len(value) == 4:  # batch, heads, length, head size
        return (*query[:2], None if None in (value[1], value[3]) else (value[1] or 0) * (value[3] or 0))
    return (*query[:2], query[2] if value is None else value[2])


def _grouped_attention(node: onnx.NodeProto, inputs: Sequence[Value | None]) -> Dims | None:
    query = _dims(inputs, 0)
    if query is None or _dims(inputs, 1) is not None or query[-1] is None:
        return query
    heads, key_heads = integer(node, "num_heads"), integer(node, "kv_num_heads")
    return (*query[:-1], query[-1] * heads // max(heads + 2 * key_heads, 1))


def _embedding(node: onnx.NodeProto, inputs: Sequence[Value | None]) -> Dims | None:
    ids, table = _dims(inputs, 0), _dims(inputs, 2)
    return None if ids is None or table is None else (*ids, table[-1])


RULES: dict[str, Callable[[onnx.NodeProto, Sequence[Value | None]], Dims | None]] = {
    "FusedMatMul": _fused_matmul,
    "MatMulNBits": _blockwise_matmul,
    "Attention": _attention,
    "QAttention": _attention,
    "MultiHeadAttention": _multi_head_attention,
    "GroupQueryAttention": _grouped_attention,
    "EmbedLayerNormalization": _embedding,
}
