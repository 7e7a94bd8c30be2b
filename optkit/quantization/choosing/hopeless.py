"""What needs no trial: models in which there is nothing to quantize, and methods that find nothing to do."""

import onnx_ir as ir

from optkit.errors import DataError, NothingPaid
from optkit.quantization.graphs import all_graphs
from optkit.quantization.half.widen import holds_half
from optkit.quantization.integer_graph.compress import compressible
from optkit.quantization.operators import weighted_nodes
from optkit.quantization.recognise import already_quantized, graph_constants, too_small_or_wide


def refuse_hopeless(model: ir.Model) -> None:
    """Raises NothingPaid in one sentence where there is nothing to quantize."""
    if reason := already_quantized(model):
        raise NothingPaid(reason, hint="quantize the float model that it was made from")
    if not any(compressible(v) or holds_half(v) for g in all_graphs(model) for v in graph_constants(g)):
        if small := too_small_or_wide(model):
            raise NothingPaid(*small[:1], hint=small[1])
        operators = sorted({n.op_type for g in all_graphs(model) for n in g} - {"Constant", "Cast", "Identity", "Reshape"})
        listed = ", ".join(operators[:5]) + (", …" if len(operators) > 5 else "")
        raise NothingPaid(
            f"there is nothing to quantize: no operator has float weights ({listed})",
            hint="optkit inspect MODEL shows what the model is made of",
        )


def nothing_for(method: str, model: ir.Model, calibrated: bool) -> NothingPaid | DataError:
    if method == "static" and not calibrated and weighted_nodes(model):
        return DataError(
            "static INT8 needs examples to find activation ranges", hint="pass --data examples.npz: one array for each model input"
        )
    return NothingPaid(f"method {method} finds nothing to quantize in this model", hint="try --method auto")
