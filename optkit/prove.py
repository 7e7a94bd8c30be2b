"""What a model gained and what it cost: read examples, measure side by side, compare, judge, report."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from optkit.artifact import Artifact
from optkit.baseline import against, read_baseline, stored_metrics
from optkit.compare import Comparison, Warned, compare_all, sliced, with_precision_wished
from optkit.compare.fall_backs import fall_backs, is_cpu
from optkit.errors import UsageError
from optkit.formats.torch_compiled import is_compiled
from optkit.gate import Limits, judge, limits_asked
from optkit.inspection import Profile
from optkit.inspection.audit import ProviderAudit, audit
from optkit.layers import compare_layers
from optkit.manifest import lineage_of
from optkit.measure import Measurement, measure, was_interrupted
from optkit.measure.names import distinguishing_names
from optkit.progress import Progress, silent
from optkit.registry import suggestion
from optkit.report import SCHEMA, DataUsed, Report
from optkit.samples import FALL_BACKS, kind_of

if TYPE_CHECKING:
    from optkit.datasets import Examples
    from optkit.metrics import Metric
    from optkit.runtimes import Port


MADE_UP = 64
"""Examples, unless it is said how many."""


def prove(
    models: Sequence[Artifact],
    data: "str | Examples | None",
    *,
    metrics: Sequence[str] = (),
    output: str | None = None,
    devices: Sequence[str] = ("cpu",),
    batches: Sequence[int] = (1,),
    threads: int | Sequence[int] = 1,
    seconds: float = 10.0,
    samples: int | None = None,
    synthetic: bool = False,
    limits: Limits | None = None,
    layers: bool = False,
    by: Sequence[str] = (),
    precision: float | None = None,
    own_process: bool | None = None,
    seed: int = 0,
    title: str = "",
    progress: Progress = silent,
) -> Report:
    """Compare the models after the first with the first, or with a baseline, and hold them against `limits` where there are any.

    `data` is what `--data` takes, or examples that are read already; `samples` uses at most so many of them, evenly spaced. Without
    `metrics`, what suits the labels, and fidelity. `seconds` is the time for each device, batch size and number of
    `threads`. With `layers`, it is also told at which layers the models part, and where their time goes. `by` names what to look at
    parts of the examples by: `label`, or columns of the data.
    With `precision` (half the interval of the time ratio), or limits that hold speed against something, timing ends as soon as that is
    known. `own_process`: see `measure`.
    Raises UsageError, DataError or ModelError when something does not fit, before anything is timed where that can be known.
    """
    from optkit.runtimes import open_session

    stored = None if limits is None or limits.baseline is None else read_baseline(limits.baseline)
    models = _with_lineage(models, 2 if stored is None else 1)
    examples = examples_for(data, open_session(models[0].path).inputs, synthetic, models[0], seed, samples)
    wanted = _metrics(metrics or (() if stored is None else stored_metrics(stored)), output, limits)
    _check_limits(limits, wanted, examples, devices)
    slices = slices_by(by, examples, wanted)
    more = _layers(models, examples, threads if isinstance(threads, int) else threads[0], seconds, devices[0], progress) if layers else {}
    measurements = measure(
        models,
        examples,
        wanted,
        devices=tuple(dict.fromkeys(devices)),
        batches=tuple(dict.fromkeys(batches)),
        threads=threads,
        seconds=seconds,
        seed=seed,
        output=output,
        precision=precision,
        least_speedup=None if limits is None else limits.min_speedup,
        own_process=own_process,
        progress=progress,
    )
    found = sliced(compare_all(measurements, seed), measurements, slices, seed)
    comparisons = tuple(_with_doubts(each, examples, wanted, precision) for each in found)
    more["audits"] = () if was_interrupted(measurements) else _audits(measurements, examples, progress)
    report = _report(title or _title(measurements), measurements, comparisons, limits if stored is None else None, examples, more)
    return report if stored is None else against(report, stored, limits, seed)


def _with_lineage(models: Sequence[Artifact], fewest: int) -> list[Artifact]:
    if len(models) < fewest:
        raise UsageError("there is nothing to compare with", hint="name the original and at least one other model")
    return [each if each.lineage else replace(each, lineage=lineage_of(each.path)) for each in models]


def _report(
    title: str,
    measurements: Sequence[Measurement],
    comparisons: Sequence[Comparison],
    limits: Limits | None,
    examples: "Examples",
    more: Mapping[str, Any],
) -> Report:
    return Report(
        schema=SCHEMA,
        title=title,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        measurements=tuple(measurements),
        comparisons=tuple(comparisons),
        verdict=judge(to_judge(comparisons, measurements), limits) if limits is not None else None,
        notes=(origin_of(examples),),
        data=DataUsed(examples.source, examples.digest, len(examples)),
        **more,
    )


def to_judge(comparisons: Sequence[Comparison], measurements: Sequence[Measurement]) -> list[Comparison]:
    """What limits are held against: all but those of what torch.compile ran, which is there to be seen beside the others."""
    shown = {each.name for each in measurements if is_compiled(each.model.path)}
    return [each for each in comparisons if each.after not in shown]


def _title(measurements: Sequence[Measurement]) -> str:
    first, *others = dict.fromkeys(each.name for each in measurements)
    return f"{first} → {', '.join(others)}" if others else first


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


def _metrics(words: Sequence[str], output: str | None, limits: Limits | None) -> "list[Metric] | None":
    """None lets `measure` choose, which includes agreement unless answers are features."""
    from optkit.metrics import find_metric

    if not words:
        return None
    if limits is not None and limits.min_agreement is not None and "agreement" not in words:
        words = (*words, "agreement")
    return [find_metric(word, output) for word in dict.fromkeys(words)]


def _layers(
    models: Sequence[Artifact], examples: "Examples", threads: int, seconds: float, device: str, progress: Progress
) -> dict[str, Any]:
    """Where the models part, and where their time goes."""
    names = distinguishing_names([model.path for model in models])
    layers = compare_layers(models[0], models[1:], examples, names=names, threads=threads, progress=progress)
    return {"layers": layers, "profiles": _profiles(models, examples, device, threads, seconds)}


def _profiles(models: Sequence[Artifact], examples: "Examples", device: str, threads: int, seconds: float) -> dict[str, Profile]:
    from optkit.inspection.profile import profile_model

    names = distinguishing_names([model.path for model in models])
    return {name: profile_model(each.path, examples, device, threads, seconds / 4) for name, each in zip(names, models, strict=True)}


def _audits(measurements: Sequence[Measurement], examples: "Examples", progress: Progress) -> tuple[ProviderAudit, ...]:
    """Where nodes run, once for each model on each device that is not the CPU."""
    once = {(each.name, each.device): each for each in reversed(measurements) if fall_backs(each) is not None}
    due = [each for each in reversed(once.values()) if each.model.format == "onnx"]
    found = []
    for number, each in enumerate(due):
        progress("where nodes run", number, len(due))
        found.append(audit(each.model.path, each.name, each.nodes, examples, each.device, each.threads))
    return tuple(found)


def _check_limits(limits: Limits | None, metrics: "Sequence[Metric] | None", examples: "Examples", devices: Sequence[str]) -> None:
    """What cannot be judged is said before anything is timed."""
    if limits is None:
        return
    labelled = examples.labels is not None if metrics is None else any(metric.needs == "labels" for metric in metrics)
    for limit in limits_asked(limits):
        if (limit.wants == "accuracy" and not labelled) or (limit.wants == FALL_BACKS and all(map(is_cpu, devices))):
            raise limit.not_measured()


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


def _with_doubts(comparison: Comparison, examples: "Examples", metrics: "Sequence[Metric] | None", precision: float | None) -> Comparison:
    if precision is not None:
        comparison = with_precision_wished(comparison, precision)
    if metrics is None:
        comparison = replace(comparison, warnings=(*_unused_labels(comparison, examples), *comparison.warnings))
    if not examples.synthetic:
        return comparison
    made_up = Warned("the inputs are made up: answers say how alike the models are, not how right", "give --data with labels for accuracy")
    return replace(comparison, warnings=(made_up, *comparison.warnings))


def _unused_labels(comparison: Comparison, examples: "Examples") -> Iterator[Warned]:
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
