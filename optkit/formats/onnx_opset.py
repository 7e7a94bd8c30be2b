"""Bring a model to a later opset: per-channel Q/DQ needs 13, and older operators have other forms of the same thing."""

import onnx_ir as ir
from onnxscript.version_converter import ConvertVersionPass

from optkit.errors import ModelError
from optkit.formats.onnx_quiet import quiet_graph_libraries

OLDEST = 7
"""Before it, broadcasting was an attribute of each operator; ONNX Runtime does not run such models either."""


def raise_opset(model: ir.Model, least: int = 13) -> tuple[ir.Model, str | None]:
    """The model at opset `least` or later, and a sentence that says so where it was converted; the one given is not changed.

    Only the standard domain is converted, branches and loop bodies included. Raises ModelError when that is not possible.
    """
    held = model.opset_imports.get("", model.opset_imports.get("ai.onnx"))
    if held is None or held >= least:
        return model, None
    if held < OLDEST:
        raise _unconvertible(held, least, "it is too old")
    converted = model.clone()
    with quiet_graph_libraries():
        try:
            converted = ConvertVersionPass(target_version=least, fallback=True)(converted).model
        except Exception as error:
            raise _unconvertible(held, least, "an operator has no later form") from error
    if converted.opset_imports.get("") != least:
        raise _unconvertible(held, least, "an operator has no later form")
    if held <= 10:
        _keep_old_resizing(converted)
    for before, after in ((model.graph.inputs, converted.graph.inputs), (model.graph.outputs, converted.graph.outputs)):
        for port, twin in zip(before, after, strict=True):  # the converter puts what it infers in the place of what was declared
            twin.type, twin.shape = port.type, port.shape
    converted.ir_version = max(converted.ir_version, 7)
    return converted, f"converted from opset {held} to {least}"


def _keep_old_resizing(model: ir.Model) -> None:
    """Upsample and Resize of opset 10 sampled at x / scale, rounding down; Resize of opset 11 does so only when it is told to."""
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if node.op_type == "Resize" and node.domain == "":
            node.attributes["coordinate_transformation_mode"] = ir.AttrString("coordinate_transformation_mode", "asymmetric")
            node.attributes["nearest_mode"] = ir.AttrString("nearest_mode", "floor")


def _unconvertible(held: int, least: int, why: str) -> ModelError:
    return ModelError(
        f"the model has opset {held}, which cannot be converted to {least}: {why}", hint=f"export it again with opset {least} or later"
    )
