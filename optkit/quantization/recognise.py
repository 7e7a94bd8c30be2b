"""Is there anything left to quantize? Finds models that are quantized already, also where no Q/DQ operator says so."""

import onnx_ir as ir

from optkit.quantization.graphs import all_graphs, constant_tensor

INTEGER_OPERATORS = frozenset(
    {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger", "QLinearMatMul", "QLinearConv"}
    | {"MatMulIntegerToFloat", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "QAttention", "QGemm", "QLinearAdd", "QLinearMul"}
    | {"MatMulNBits", "MatMulBnb4", "GatherBlockQuantized", "QMoE", "QEmbedLayerNormalization"}
)
SMALL_INTEGERS = frozenset({ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT4, ir.DataType.UINT4})
HALVES = frozenset({ir.DataType.FLOAT16, ir.DataType.BFLOAT16})
WEIGHT_READERS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN", "Gather"})
SHARE_THAT_TELLS = 0.3
"""Of all weight bytes: a stray int8 table does not make a quantized model."""


def already_quantized(model: ir.Model) -> str | None:
    """A sentence that says how the model is quantized already, or None."""
    found = {n.op_type for g in all_graphs(model) for n in g if n.op_type in INTEGER_OPERATORS}
    if found:
        return f"it is quantized already: it has {', '.join(sorted(found))}"
    bytes_by_kind: dict[bool, int] = {True: 0, False: 0}
    for graph in all_graphs(model):
        for value in graph_constants(graph):
            tensor = constant_tensor(value)
            if tensor is not None and tensor.size > 64 and value.uses():
                read_by_cast = any(use.node.op_type == "Cast" for use in value.uses())
                bytes_by_kind[tensor.dtype in SMALL_INTEGERS and read_by_cast] += tensor.nbytes
    share = bytes_by_kind[True] / max(sum(bytes_by_kind.values()), 1)
    if share > SHARE_THAT_TELLS:
        return f"its weights are 8-bit integers already ({share:.0%} of the bytes), turned into floats by Cast and Mul when it loads"
    return None


def half_precision(model: ir.Model) -> bool:
    """Whether most weight bytes are float16 or bfloat16."""
    sizes = {True: 0, False: 0}
    for graph in all_graphs(model):
        for value in graph_constants(graph):
            tensor = constant_tensor(value)
            if tensor is not None:
                sizes[tensor.dtype in HALVES] += tensor.nbytes
    return sizes[True] > sizes[False]


def too_small_or_wide(model: ir.Model) -> tuple[str, str] | None:
    """What to say and to advise of a model whose weights are there, but too small to be worth it, or 64 bits wide."""
    read = [v for g in all_graphs(model) for v in graph_constants(g) if any(use.node.op_type in WEIGHT_READERS for use in v.uses())]
    tensors = [t for t in map(constant_tensor, read) if t is not None and len(t.shape) >= 2]
    floats = [t.size for t in tensors if t.dtype == ir.DataType.FLOAT or t.dtype in HALVES]
    if any(t.dtype == ir.DataType.DOUBLE for t in tensors) and not floats:
        return "its weights are float64, and INT8 starts from float32", "export it in float32"
    if floats:
        return f"its weights are too small to be worth it: the largest has {max(floats):,} elements", "it is a small model already"
    return None


def graph_constants(graph: ir.Graph) -> list[ir.Value]:
    """Initializers and the outputs of Constant nodes of one graph."""
    return [*graph.initializers.values(), *(n.outputs[0] for n in graph if n.op_type == "Constant")]
