"""What ONNX Runtime leaves in float although it is quantized around: it costs roundings and conversions, and gains nothing."""

from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path

import onnx
import onnx_ir as ir

from optkit.quantization.graphs import all_graphs
from optkit.quantization.integer_graph.insert_static import outputs_of
from optkit.runtimes.onnxruntime import OnnxSession
from optkit.runtimes.rewritten import open_rewritten

NAMED = 3
QUANTIZED = "_quantized"
"""What insert_static appends to the name of a tensor for its integers."""


def left_in_float(
    model: ir.Model, names: Collection[str], made: Path, threads: int, opened: Callable[[OnnxSession], None] | None = None
) -> set[str]:
    """Those of the named nodes of `model` whose output is still quantized from floats when ONNX Runtime has rewritten the file `made`.

    A node that computes in integers has taken the QuantizeLinear behind it in. `opened` is given the session of that file, which took a
    while to open. Raises ModelError when the file does not load.
    """
    session, rewritten = open_rewritten(made, threads=threads)
    still = _made_from_floats(rewritten)
    if opened is not None:
        opened(session)
    nodes = [n for g in all_graphs(model) for n in g if str(n.name) in names]
    return {str(n.name) for n in nodes if any(f"{v.name}{QUANTIZED}" in still for v in outputs_of(n))}


def told(model: ir.Model, names: Collection[str]) -> str | None:
    """What was given back to float for that reason, as a sentence; None where nothing was."""
    operators = Counter(n.op_type for g in all_graphs(model) for n in g if str(n.name) in names)
    if not operators:
        return None
    listed = ", ".join(f"{count} {operator}" for operator, count in sorted(operators.items(), key=lambda item: (-item[1], item[0])))
    return f"in float, because ONNX Runtime takes no integers there: {listed} ({', '.join(sorted(names)[:NAMED])}{_more(names)})"


def _more(names: Collection[str]) -> str:
    return ", …" if len(names) > NAMED else ""


def _made_from_floats(graph: onnx.GraphProto) -> set[str]:
    found = {name for node in graph.node if node.op_type == "QuantizeLinear" for name in node.output}
    bodies = [a.g for node in graph.node for a in node.attribute if a.HasField("g")]
    return found.union(*map(_made_from_floats, bodies))
