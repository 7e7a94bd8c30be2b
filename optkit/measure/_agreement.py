"""What agreement is of, which depends on what a model answers with: the largest score, everything that it finds, or nothing at all."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.measure._features import are_numbers, gives_features
from optkit.metrics import Metric, decision_name
from optkit.metrics._finds import Finds
from optkit.metrics.agreement import Agreement
from optkit.quantization.fidelity.output_forms import holds_scores, is_many_scores, is_open
from optkit.quantization.fidelity.output_roles import OutputRoles
from optkit.quantization.fidelity.score_channels import ScoreChannels


def with_agreement(
    metrics: Sequence[Metric], outputs: Sequence[ir.Value], answers: Mapping[str, Array], output: str | None, *, labelled: bool, asked: bool
) -> list[Metric]:
    """The metrics, with agreement taken over finds where the original finds things, and without it where no answer can agree.

    `outputs` are those of the original's graph, none where it has no graph, `answers` [examples, …] its own to some examples. Where
    agreement was `asked` for by name it stays.
    """
    made: list[Metric] = []
    roles = _roles(outputs, answers)
    for metric in metrics:
        if metric.name != "agreement":
            made.append(metric)
        elif scores := _scores(roles, output):
            made.append(Finds(scores))
        elif asked or not _says_nothing(roles, outputs, answers, output, labelled=labelled):
            one_each = any(_is_vector(v, answers[str(v.name)]) for v in outputs if v.name == decision_name(answers, output))
            made.append(Agreement(output, one_each=True) if one_each else metric)
    return made


def _roles(outputs: Sequence[ir.Value], answers: Mapping[str, Array]) -> OutputRoles | None:
    known = {str(v.name): _plain(answers[str(v.name)]) for v in outputs if str(v.name) in answers}
    numbers = [v for v in outputs if str(v.name) in known and known[str(v.name)].dtype.kind in "fiub"]
    count = min((len(known[str(v.name)]) for v in numbers), default=0)
    return (
        OutputRoles(numbers, [{str(v.name): _example(v, known[str(v.name)], i) for v in numbers} for i in range(count)]) if count else None
    )


def _example(value: ir.Value, answers: Array, number: int) -> Array:
    """One example's answer; a vector as the model gave it, where whole feeds have such: putting them together gave it an axis."""
    return np.asarray(answers[number] if _is_vector(value, answers) else answers[number : number + 1])


def _is_vector(value: ir.Value, answers: Array) -> bool:
    """Whether each example is a vector of any length, as one number for each character of a text: none of them is a class."""
    return value.shape is not None and len(value.shape) == 1 and is_open(value) and answers.ndim == 2


def _scores(roles: OutputRoles | None, output: str | None) -> dict[str, ScoreChannels]:
    """Where scores for many places lie, in the output named or in all; nothing where another output says what was decided."""
    if roles is None or (output is None and roles.answer is not None):
        return {}
    return {name: scores for name, scores in roles.scores.items() if name in roles.finds and output in (None, name)}


def _says_nothing(
    roles: OutputRoles | None, outputs: Sequence[ir.Value], answers: Mapping[str, Array], output: str | None, *, labelled: bool
) -> bool:
    """Whether the largest number of the answer is no decision: of features, coordinates, and of many scores none of which is high."""
    name = decision_name(answers, output)
    value = next((v for v in outputs if v.name == name), None)
    if value is not None and (holds_scores(value) or is_many_scores(value, answers[name][:1])) and answers[name].dtype.kind == "f":
        return True
    if output is None and roles is not None and roles.answer is None and not labelled and answers[name].dtype.kind == "f":
        return True  # as `optkit quantize` sees it
    return gives_features(outputs, output) or (not labelled and are_numbers(answers[name]))


def _plain(array: Array) -> Array:
    return array.astype(np.float32) if array.dtype == np.float16 else array
