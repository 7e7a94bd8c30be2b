"""What ONNX Runtime fused when it saved an optimized model, in standard operators again: their weights can be quantized, and it fuses anew.

FusedConv    → Conv [+ Add] + activation      FusedGemm → Gemm + activation
FusedMatMul  → MatMul with its weight transposed and scaled once      Attention → MatMul + Add + Split + MultiHeadAttention
"""

import numpy as np
import onnx_ir as ir

from optkit.quantization.graphs import add_constant, add_node, all_graphs, constant_array, graph_of, prune_unused

RUNTIME = "com.microsoft"
PLAIN = frozenset({"Relu", "Sigmoid", "Tanh"})
"""Activations without parameters; those with some say them in this order."""
PARAMETERS = {"LeakyRelu": ("alpha",), "HardSigmoid": ("alpha", "beta")}
ACTIVATION = ("activation", "activation_params", "activation_alpha", "activation_beta", "activation_gamma")
KEPT_BY_HEADS = ("num_heads", "mask_filter_value", "scale", "unidirectional")
"""Attributes that Attention and MultiHeadAttention share."""


def spell_out(model: ir.Model) -> int:
    """Spell out every fused operator whose meaning is known, in place (opset 13 or later); returns how many."""
    done = 0
    for graph in all_graphs(model):
        for node in [n for n in graph if n.domain == RUNTIME]:
            change = SPELLED.get(node.op_type)
            done += change is not None and change(node)
    if done:
        prune_unused(model)
    return done


def _convolution(node: ir.Node) -> bool:
    activation = _activation(node)
    if activation is None:
        return False
    first = add_node(node, "Conv", list(node.inputs[:3]), f"{node.outputs[0].name}_conv")
    _keep_attributes(node, first)
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        first = add_node(node, "Add", [first.outputs[0], node.inputs[3]], f"{node.outputs[0].name}_sum")
    return _finish(node, first, activation)


def _gemm(node: ir.Node) -> bool:
    activation = _activation(node)
    if activation is None:
        return False
    first = add_node(node, "Gemm", list(node.inputs), f"{node.outputs[0].name}_gemm")
    _keep_attributes(node, first)
    return _finish(node, first, activation)


def _product(node: ir.Node) -> bool:
    """Of one whose right side is a constant matrix; others have no weight to quantize."""
    weight = constant_array(node.inputs[1])
    if weight is None or weight.ndim != 2 or any(_number(node, name, 0) for name in ("transA", "transBatchA", "transBatchB")):
        return False
    turned = weight.T if _number(node, "transB", 0) else weight
    scaled = add_constant(graph_of(node), f"{node.outputs[0].name}_weight", (turned * weight.dtype.type(_number(node, "alpha", 1))))
    return _finish(node, add_node(node, "MatMul", [node.inputs[0], scaled], f"{node.outputs[0].name}_product"), ("", []))


def _attention(node: ir.Node) -> bool:
    """Of self-attention without a past: its three products become one MatMul that can be quantized."""
    source, packed, bias, mask, *others = [*node.inputs, *[None] * 7][:7]
    weight = constant_array(packed)
    more = any(_number(node, name, 0) for name in node.attributes if name not in (*KEPT_BY_HEADS, "qkv_hidden_sizes"))
    if weight is None or weight.ndim != 2 or bias is None or any(v is not None for v in others) or len(node.outputs) > 1 or more:
        return False
    if mask is not None and (mask.shape is None or len(mask.shape) != 2):  # other forms of a mask mean other things there
        return False
    sizes = node.attributes["qkv_hidden_sizes"].as_ints() if "qkv_hidden_sizes" in node.attributes else [weight.shape[1] // 3] * 3
    name = node.outputs[0].name
    product = add_node(node, "MatMul", [source, packed], f"{name}_product")
    added = add_node(node, "Add", [product.outputs[0], bias], f"{name}_qkv")
    lengths = add_constant(graph_of(node), f"{name}_sizes", np.array(sizes, np.int64))
    split = add_node(node, "Split", [added.outputs[0], lengths], f"{name}_part", outputs=3, axis=-1)
    heads = add_node(node, "MultiHeadAttention", [*split.outputs, None, mask], f"{name}_heads", domain=RUNTIME)
    for each in KEPT_BY_HEADS:
        if each in node.attributes:
            heads.attributes[each] = node.attributes[each]
    return _finish(node, heads, ("", []))


def _activation(node: ir.Node) -> tuple[str, list[float]] | None:
    """Name and parameters of the activation inside; an empty name for none; None where it is not known."""
    kind = node.attributes["activation"].as_string() if "activation" in node.attributes else ""
    if "activation_params" in node.attributes:
        numbers = list(node.attributes["activation_params"].as_floats())
    else:
        numbers = [node.attributes[name].as_float() for name in ACTIVATION[2:] if name in node.attributes]
    known = kind in PLAIN or not kind or len(numbers) >= len(PARAMETERS.get(kind, ("low", "high") if kind == "Clip" else (0, 0, 0, 0)))
    return (kind, numbers) if known else None


def _keep_attributes(node: ir.Node, made: ir.Node) -> None:
    for name, attribute in node.attributes.items():
        if name not in ACTIVATION:
            made.attributes[name] = attribute


def _finish(node: ir.Node, last: ir.Node, activation: tuple[str, list[float]]) -> bool:
    """Put what was made, and its activation, in the place of a node."""
    kind, numbers = activation
    old, name = node.outputs[0], node.outputs[0].name
    last.outputs[0].type, last.outputs[0].shape = old.type, old.shape
    if kind == "Clip":
        bounds = [add_constant(graph_of(node), f"{name}_{end}", np.float32(n)) for end, n in zip(("low", "high"), numbers, strict=False)]
        last = add_node(node, kind, [last.outputs[0], *bounds], f"{name}_clipped")
    elif kind:
        last = add_node(node, kind, [last.outputs[0]], f"{name}_active")
        for said, number in zip(PARAMETERS.get(kind, ()), numbers, strict=False):
            last.attributes[said] = ir.AttrFloat32(said, number)
    made = last.outputs[0]
    made.type, made.shape = old.type, old.shape
    last.name = node.name
    old.replace_all_uses_with(made, replace_graph_outputs=True)
    graph_of(node).remove(node, safe=True)
    made.name = name
    return True


def _number(node: ir.Node, name: str, default: float) -> float:
    return float(node.attributes[name].value) if name in node.attributes else default


SPELLED = {"FusedConv": _convolution, "FusedGemm": _gemm, "FusedMatMul": _product, "Attention": _attention}
"""How each is spelled out; False where this one stays."""
