"""Multiply-accumulates of one node. One MAC is one multiplication with its addition; what is done element by element counts nothing.

Convolution: output elements × weights of one output channel. Matrix product: output elements × inner length.
Recurrent layers: steps × batch × directions × gates × hidden × (input + hidden). Attention: scores and weighted sum,
batch × heads × queries × keys × (query size + value size), besides its projections where they are part of the operator.
Einsum: the product of all index lengths, for every multiplication.
"""

from collections.abc import Callable, Sequence

import onnx

from optkit.inspection.contrib_shapes import LIKE_FIRST, TWINS, integer
from optkit.inspection.values import Dims, Value, known_product

Inputs = Sequence[Value | None]
Rule = Callable[[onnx.NodeProto, Inputs, Inputs], int | None]


def macs_of(node: onnx.NodeProto, inputs: Inputs, outputs: Inputs) -> int | None:
    """MACs of one run of the node; None if they cannot be told, because shapes or the operator are not known."""
    rule = RULES.get(node.op_type)
    if rule:
        try:
            return rule(node, inputs, outputs)
        except (IndexError, ZeroDivisionError, ValueError):  # a malformed node: fewer inputs or dimensions than its operator has
            return None
    if node.domain == "com.microsoft":
        return 0 if node.op_type in FREE else None
    return 0 if node.domain in ("", "ai.onnx", "ai.onnx.ml") and node.op_type not in UNCOUNTED else None


FREE = LIKE_FIRST | frozenset(TWINS) | frozenset({"QLinearConcat", "QLinearReduceMean", "EmbedLayerNormalization", "BiasSplitGelu"})
"""Operators that ONNX Runtime adds and that work element by element or move data. Standard ones without a rule do so too."""

UNCOUNTED = frozenset({"DFT", "STFT", "MelWeightMatrix", "GridSample", "RoiAlign", "SVMClassifier", "SVMRegressor"})
"""Known operators that do multiply, but not in a way with one agreed count."""


def _dims(values: Inputs, index: int) -> Dims:
    value = values[index] if index < len(values) else None
    dims = None if value is None else value.dims
    if dims is None:
        raise IndexError(index)
    return dims


def _times(*factors: int | None) -> int | None:
    """None as well where a size is negative: an input is assumed to be smaller than what is slid over it."""
    return None if any(f is not None and f < 0 for f in factors) else known_product(factors)


def _conv(weight: int) -> Rule:
    def rule(node: onnx.NodeProto, inputs: Inputs, outputs: Inputs) -> int | None:
        return _times(*_dims(outputs, 0), *_dims(inputs, weight)[1:])

    return rule


def _conv_transpose(node: onnx.NodeProto, inputs: Inputs, outputs: Inputs) -> int | None:
    return _times(*_dims(inputs, 0), *_dims(inputs, 1)[1:])


def _matmul(left: int, right: int) -> Rule:
    def rule(node: onnx.NodeProto, inputs: Inputs, outputs: Inputs) -> int | None:
        inner = _dims(inputs, left)[-2 if integer(node, "transA") else -1]
        b = _dims(inputs, right)
        if inner is None:
            inner = b[-1 if integer(node, "transB") or len(b) == 1 else -2]
        return _times(*_dims(outputs, 0), inner)

    return rule


def _blockwise_matmul(node: onnx.NodeProto, inputs: Inputs, outputs: Inputs) -> int | None:
    return _times(*_dims(outputs, 0), integer(node, "K"))


def _recurrent(gates: int, dynamic: bool = False) -> Rule:
    def rule(node: onnx.NodeProto, inputs: Inputs, outputs: Inputs) -> int | None:
        x, w, r = _dims(inputs, 0), _dims(inputs, 1), _dims(inputs, 2)
        hidden = integer(node, "hidden_size") or (r[1] if dynamic else r[2])
        if x[2] is None or hidden is None:
            return None
        return _times(x[0], x[1], w[0], gates, hidden, x[2] + hidden)

    return rule


def _scores(batch: int | None, queries: int | None, keys: int | None, query_width: int | None, value_width: int | None) -> int | None:
    """Both products of attention; widths are those of all heads together."""
    if query_width is None or value_width is None:
        return None
    return _times(batch, queries, keys, query_width + value_width)


def _attention(node: onnx.NodeProto, inputs: Inputs, outputs: Inputs) -> int | None:
    if node.domain == "com.microsoft":
        return _attention_with_projection(node, inputs, outputs)
    return _plain_attention(node, inputs, outputs)


def _attention_with_projection(node: onnx.NodeProto, inputs: Inputs, outputs: Inputs) -> int | None:
    x, w, y = _dims(inputs, 0), _dims(inputs, 1), _dims(outputs, 0)
    if w[1] is None or y[2] is None:
        return None
    projection, scores = _times(*x, w[1]), _scores(x[0], x[1], x[1], (w[1] - y[2]) // 2, y[2])
    return None if projection is None or scores is None else projection + scores


def _plain_attention(node: onnx.NodeProto, inputs: Inputs, outputs: Inputs) -> int | None:
    """ai.onnx Attention: (batch, heads, length, size), or (batch, length, heads × size) with the heads as attributes."""
    q, k, v = _dims(inputs, 0), _dims(inputs, 1), _dims(inputs, 2)
    heads = integer(node, "q_num_heads") if len(q) == 3 else q[1]
    key_heads = integer(node, "kv_num_heads") if len(q) == 3 else v[1]
    size = None if q[-1] is None else q[-1] // (heads or 0) if len(q) == 3 else q[-1]
    value_size = None if v[-1] is None else v[-1] // (key_heads or 0) if len(q) == 3 else v[-1]
    past = _dims(inputs, 4)[2] if len(inputs) > 4 and inputs[4] is not None else 0
    keys = None if k[-2] is None or past is None else k[-2] + past
    return _scores(q[0], q[-2], keys, _times(heads, size), _times(heads, value_size))


def _multi_head_attention(node: onnx.NodeProto, inputs: Inputs, outputs: Inputs) -> int | None:
    q, y = _dims(inputs, 0), _dims(outputs, 0)
    if len(q) == 5:  # packed: batch, length, heads, 3, head size
        return _scores(q[0], q[1], q[1], _times(q[2], q[4]), y[2])
    k = _dims(inputs, 1)
    keys = k[2] if len(k) == 4 else k[1]
    past = _dims(inputs, 6)[2] if len(inputs) > 6 and inputs[6] is not None else 0
    return _scores(q[0], q[1], None if keys is None or past is None else keys + past, q[2], y[2])


def _grouped_attention(node: onnx.NodeProto, inputs: Inputs, outputs: Inputs) -> int | None:
    q = _dims(inputs, 0)
    heads, key_heads = integer(node, "num_heads"), integer(node, "kv_num_heads")
    packed = len(inputs) < 2 or inputs[1] is None
    width = None if q[2] is None else q[2] * heads // (heads + 2 * key_heads) if packed else q[2]
    past = _dims(inputs, 3)[2] if len(inputs) > 3 and inputs[3] is not None else 0
    return _scores(q[0], q[1], None if q[1] is None or past is None else q[1] + past, width, width)


def _einsum(node: onnx.NodeProto, inputs: Inputs, outputs: Inputs) -> int | None:
    equation = next(a.s.decode() for a in node.attribute if a.name == "equation").replace(" ", "")
    terms = equation.split("->")[0].split(",")
    lengths: dict[str, int | None] = {}
    for place, term in enumerate(terms):
        dims = _dims(inputs, place)
        letters = [*term.replace("...", "")]
        dots = [f"...{k}" for k in range(len(dims) - len(letters), 0, -1)] if "..." in term else []
        at = term.index("...") if dots else len(letters)
        for letter, length in zip([*letters[:at], *dots, *letters[at:]], dims, strict=True):
            lengths[letter] = length if lengths.get(letter) in (None, 1) else lengths[letter]
    size = known_product(tuple(lengths.values()))
    return None if size is None else size * (len(terms) - 1)


def _linear_model(node: onnx.NodeProto, inputs: Inputs, outputs: Inputs) -> int | None:
    x = _dims(inputs, 0)
    coefficients = next(len(a.floats) for a in node.attribute if a.name == "coefficients")
    return _times(x[0] if len(x) > 1 else 1, coefficients)


RULES: dict[str, Rule] = {
    "Conv": _conv(1),
    "ConvInteger": _conv(1),
    "FusedConv": _conv(1),
    "QLinearConv": _conv(3),
    "DeformConv": _conv(1),
    "ConvTranspose": _conv_transpose,
    "MatMul": _matmul(0, 1),
    "Gemm": _matmul(0, 1),
    "MatMulInteger": _matmul(0, 1),
    "FusedMatMul": _matmul(0, 1),
    "FusedGemm": _matmul(0, 1),
    "GemmFastGelu": _matmul(0, 1),
    "DynamicQuantizeMatMul": _matmul(0, 1),
    "MatMulIntegerToFloat": _matmul(0, 1),
    "QLinearMatMul": _matmul(0, 3),
    "QGemm": _matmul(0, 3),
    "MatMulNBits": _blockwise_matmul,
    "LSTM": _recurrent(4),
    "GRU": _recurrent(3),
    "RNN": _recurrent(1),
    "DynamicQuantizeLSTM": _recurrent(4, dynamic=True),
    "Attention": _attention,
    "QAttention": _attention_with_projection,
    "MultiHeadAttention": _multi_head_attention,
    "GroupQueryAttention": _grouped_attention,
    "Einsum": _einsum,
    "LinearClassifier": _linear_model,
    "LinearRegressor": _linear_model,
}
