"""Whether a model answers with features or a state, whose largest number says nothing."""

from optkit.artifact import Artifact
from optkit.formats.onnx import load_model
from optkit.quantization.fidelity.output_forms import is_features


def gives_features(model: Artifact, output: str | None) -> bool:
    """Of the output that carries the answer, named or the first with floating-point numbers, as far as an ONNX graph tells."""
    if model.format != "onnx":
        return False
    outputs = load_model(model.path).graph.outputs
    answers = [
        each for each in outputs if (each.dtype is not None and each.dtype.is_floating_point() if output is None else each.name == output)
    ]
    return bool(answers) and is_features(answers[0])
