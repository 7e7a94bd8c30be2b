"""Which inputs and outputs of an operator may be float16 where they are float32: the operator's schema decides, not a list of names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain, repeat
from typing import Any

import onnx
import onnx_ir as ir

HALF = "tensor(float16)"
FLOAT = "tensor(float)"
FIXED = frozenset({("Resize", "T2"), ("GridSample", "T2"), ("Dropout", "T1"), ("RoiAlign", "T1")})
"""Positions and ratios: small, and wrong when rounded."""


@dataclass(frozen=True)
class Slots:
    """For each input and output of a node: whether its float32 becomes float16 when the node computes in half precision."""

    inputs: tuple[bool, ...]
    outputs: tuple[bool, ...]


@dataclass(frozen=True)
class _Form:
    """What both libraries say of an operator, in one form: the type variable of each parameter, and what each variable allows."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    repeats_input: bool
    repeats_output: bool
    allows: Mapping[str, frozenset[str]]


def slots_of(node: ir.Node, opsets: Mapping[str, int]) -> Slots | None:
    """None where the operator is unknown, takes graphs, or has no float16 form."""
    if any(attr.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for attr in node.attributes.values()):
        return None
    domain = "" if node.domain == "ai.onnx" else node.domain
    form = _form_of(node.op_type, domain, opsets.get(domain, 1))
    if form is None:
        return None
    free = {kind for kind in form.inputs if {HALF, FLOAT} <= form.allows.get(kind, frozenset()) and (node.op_type, kind) not in FIXED}
    inputs = tuple(kind in free for _, kind in zip(node.inputs, _stretched(form.inputs, form.repeats_input), strict=False))
    outputs = tuple(kind in free for _, kind in zip(node.outputs, _stretched(form.outputs, form.repeats_output), strict=False))
    if len(inputs) != len(node.inputs) or len(outputs) != len(node.outputs):
        return None
    return Slots(inputs, outputs) if any(inputs) and any(outputs) else None


def may_be_float(node: ir.Node, opsets: Mapping[str, int]) -> tuple[list[bool], list[bool]]:
    """For each input and output of a node whether its schema allows float32 there; of an operator that nobody knows, none."""
    domain = "" if node.domain == "ai.onnx" else node.domain
    form = _form_of(node.op_type, domain, opsets.get(domain, opsets.get("ai.onnx", 1)))
    if form is None:
        return [False] * len(node.inputs), [False] * len(node.outputs)
    kinds = {*form.inputs, *form.outputs}
    allowed = {kind: any(FLOAT in each for each in (kind, *form.allows.get(kind, ()))) for kind in kinds}  # sequences of it as well
    inputs = [allowed[kind] for _, kind in zip(node.inputs, _stretched(form.inputs, form.repeats_input), strict=False)]
    outputs = [allowed[kind] for _, kind in zip(node.outputs, _stretched(form.outputs, form.repeats_output), strict=False)]
    return inputs, outputs


def fill_types(model: ir.Model) -> None:
    """Types that ONNX's inference leaves open, as after ONNX Runtime's own operators, where a schema has them follow from the inputs."""
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if all(value.dtype is not None for value in node.outputs):
            continue
        form = _form_of(node.op_type, node.domain, model.opset_imports.get(node.domain, 1))
        if form is None:
            continue
        kinds = zip(node.inputs, _stretched(form.inputs, form.repeats_input), strict=False)
        known = {kind: value.dtype for value, kind in kinds if value is not None and value.dtype is not None}
        for value, kind in zip(node.outputs, _stretched(form.outputs, form.repeats_output), strict=False):
            dtype = ir.DataType.FLOAT if kind == FLOAT else known.get(kind)
            if value.dtype is None and dtype is not None:
                value.type = ir.TensorType(dtype)


def _stretched(kinds: tuple[str, ...], repeats_last: bool) -> Iterator[str]:
    return chain(kinds, repeat(kinds[-1])) if repeats_last and kinds else iter(kinds)


@cache
def _form_of(name: str, domain: str, opset: int) -> _Form | None:
    if domain not in ("", "com.microsoft"):
        return None
    schema: Any
    try:
        schema = onnx.defs.get_schema(name, opset, domain)
    except onnx.defs.SchemaError:
        schema = _runtime_schemas().get((domain, name))
    if schema is None or schema.deprecated:
        return None
    return _Form(
        tuple(_kind(each) for each in schema.inputs),
        tuple(_kind(each) for each in schema.outputs),
        _repeats(schema.inputs),
        _repeats(schema.outputs),
        {each.type_param_str: frozenset(each.allowed_type_strs) for each in schema.type_constraints},
    )


def _kind(parameter: Any) -> str:
    return str(parameter.type_str if hasattr(parameter, "type_str") else parameter.typeStr)


def _repeats(parameters: Any) -> bool:
    return bool(parameters) and "Variadic" in str(parameters[-1].option)


@cache
def _runtime_schemas() -> dict[tuple[str, str], Any]:
    """ONNX Runtime's own operators; empty where it does not tell."""
    from onnxruntime.capi import onnxruntime_pybind11_state as runtime

    listing = getattr(runtime, "get_all_operator_schema", list)
    return {(schema.domain, schema.name): schema for schema in listing()}
