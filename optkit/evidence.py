"""The examples that models are compared on: read or made up, cut into parts, and what they say of themselves."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from optkit.artifact import Artifact
from optkit.compare import Comparison, Warned
from optkit.errors import UsageError
from optkit.registry import suggestion
from optkit.samples import kind_of

if TYPE_CHECKING:
    from optkit.datasets import Examples
    from optkit.metrics import Metric
    from optkit.runtimes import Port

MADE_UP = 64
"""Examples, unless it is said how many."""


def examples_for(
    data: "str | Examples | None", ports: "Sequence[Port]", synthetic: bool, model: Artifact, seed: int = 0, samples: int | None = None
) -> "Examples":
    """What `--data` names, or made-up examples. Raises UsageError, with the data that is wanted, where there is neither; DataError."""
    examples = _all_examples(data, ports, synthetic, model, seed, samples)
    return examples if samples is None else examples.spread(samples)


def _all_examples(
    data: "str | Examples | None", ports: "Sequence[Port]", synthetic: bool, model: Artifact, seed: int, samples: int | None
) -> "Examples":
    if isinstance(data, str):
        from optkit.datasets import read_examples

        return read_examples(data, ports)
    if data is not None:
        return data
    if synthetic:
        from optkit.datasets.synthetic import synthetic as made_up
        from optkit.formats.onnx_ids import id_limits

        return made_up(ports, samples or MADE_UP, seed, id_limits(model.path))
    raise UsageError("no data to compare on", where=str(model.path), hint=data_wanted(ports))


def data_wanted(ports: "Sequence[Port]") -> str:
    """What data a model takes and how to write it."""
    inputs = "; ".join(f"{port.name}: {port.dtype} [{', '.join(_axes(port))}]" for port in ports)
    arrays = ", ".join(f"{port.name}=…" if port.name.isidentifier() else f"**{{{port.name!r}: …}}" for port in ports)
    return (
        f"give --data FILE.npz with {inputs}, the first axis being the examples, and labels where you have them: "
        f"np.savez('data.npz', {arrays}, labels=…). --synthetic makes inputs up and compares speed and fidelity only"
    )


def _axes(port: "Port") -> list[str]:
    return ["N" if axis == 0 else "?" if size is None else str(size) for axis, size in enumerate(port.shape)]


def slices_by(by: Sequence[str], examples: "Examples", metrics: "Sequence[Metric] | None") -> dict[str, tuple[str, ...]]:
    """For each word of `by` the slice that each example is in; nothing for labels of which each example has several.

    Raises UsageError or DataError.
    """
    from optkit.compare.slices import BY_CLASS, cut_into

    found = {}
    for word in by:
        if word != "label" and word not in examples.columns:
            what = f"--by {word}: the data has no column {word!r}"
            raise UsageError(what, where=examples.source, hint=suggestion(word, ("label", *examples.columns)))
        found[word] = cut_into(word, examples.labels if word == "label" else examples.columns[word], examples.source)
        if not found[word] and not any(metric.summary in BY_CLASS for metric in metrics or ()):
            hint = "name a --metric that knows of classes: f1_macro, mean_iou or mean_average_precision"
            raise UsageError("--by label: examples have several labels each", where=examples.source, hint=hint)
    return found


def unused_labels(comparison: Comparison, examples: "Examples") -> Iterator[Warned]:
    """Who gives labels expects a score; where none was taken they are told why."""
    labels = examples.labels
    if labels is None or any(kind_of(delta.metric) == "accuracy" for delta in comparison.deltas):
        return
    broken = np.isnan(labels).reshape(len(labels), -1).any(axis=1) if labels.dtype.kind == "f" else np.zeros(1, bool)
    if broken.any():
        what = f"the labels were not used: that of example {int(broken.argmax())} is NaN"
        yield Warned(what, "take such examples out, or mend their labels")
    else:
        form = f"{'text' if labels.dtype.kind in 'OUS' else labels.dtype.name} {list(labels.shape)}"
        yield Warned(f"the labels ({form}) were not used: they fit no metric that is chosen by itself", "name one with --metric")


def origin_of(examples: "Examples") -> str:
    if examples.synthetic:
        return f"{len(examples):,} made-up examples"
    groups = 0 if examples.groups is None else len(set(examples.groups.tolist()))
    grouped = f" in {groups:,} {'group' if groups == 1 else 'groups'}" if groups else ""
    labels = "with labels" if examples.labels is not None else "without labels"
    return f"{len(examples):,} examples{grouped} of {examples.source}, {labels}"
