"""Which ids a model takes: how many rows the tables have that its inputs pick from."""

from collections.abc import Iterator
from pathlib import Path

import onnx_ir as ir

from optkit.formats import format_of
from optkit.formats.onnx import load_model

TABLES = {
    ("", "Gather"): ((0, 1),),
    ("com.microsoft", "GatherBlockQuantized"): ((0, 1),),
    ("com.microsoft", "EmbedLayerNormalization"): ((2, 0), (3, 7), (4, 1)),
}
"""Operators that pick rows: places of a table and of its ids."""
PASSED = ("Cast", "DequantizeLinear", "Expand", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
"""Operators that leave ids, and the number of a table's rows, as they are."""


def id_limits(path: Path) -> dict[str, int]:
    """Input name → ids of it are below this number; inputs that pick from no table are left out, as are models that are not ONNX."""
    if format_of(path) != "onnx":
        return {}
    found: dict[str, int] = {}
    for name, rows in _picks(load_model(path)):
        found[name] = min(rows, found.get(name, rows))
    return found


def _picks(model: ir.Model) -> Iterator[tuple[str, int]]:
    """Inputs, and how many rows a table has that they pick from."""
    inputs = set(model.graph.inputs)
    for node in model.graph:
        domain = "" if node.domain == "ai.onnx" else node.domain
        for table, ids in TABLES.get((domain, node.op_type), ()):
            if max(table, ids) >= len(node.inputs) or node.attributes.get_int("axis", node.attributes.get_int("gather_axis", 0)) != 0:
                continue
            source, rows = _source(node.inputs[ids]), _source(node.inputs[table])
            held = rows.const_value if rows is not None else None
            if source is not None and source in inputs and held is not None and len(held.shape) > 0:
                yield str(source.name), held.shape.numpy()[0]


def _source(value: ir.Value | None) -> ir.Value | None:
    """The value that nodes which change no number made it from."""
    while value is not None and (producer := value.producer()) is not None and producer.op_type in PASSED:
        value = producer.inputs[0]
    return value
