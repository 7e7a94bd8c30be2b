"""What a model gained and what it cost: read examples, measure side by side, compare, judge, report."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from optkit.artifact import Artifact
from optkit.baseline import against, read_baseline, stored_metrics
from optkit.compare import Comparison, Warned, compare_all, sliced, with_precision_wished
from optkit.compare.fall_backs import fall_backs, is_cpu
from optkit.errors import UsageError
from optkit.evidence import examples_for, origin_of, slices_by, unused_labels
from optkit.formats.torch_compiled import is_compiled, with_compiled
from optkit.gate import Limits, judge, limits_asked
from optkit.inspection import Profile
from optkit.inspection.audit import ProviderAudit, audit
from optkit.layers import compare_layers
from optkit.manifest import lineage_of
from optkit.measure import STANDARD, Measurement, Settings, as_interrupted, measure, metrics_of, scored_of, was_interrupted
from optkit.measure.names import distinguishing_names
from optkit.progress import Progress, silent
from optkit.report import SCHEMA, DataUsed, Report
from optkit.samples import FALL_BACKS

if TYPE_CHECKING:
    from optkit.datasets import Examples
    from optkit.metrics import Metric


def prove(
    models: Sequence[Artifact],
    data: "str | Examples | None",
    settings: Settings = STANDARD,
    *,
    samples: int | None = None,
    synthetic: bool = False,
    limits: Limits | None = None,
    layers: bool = False,
    title: str = "",
    progress: Progress = silent,
) -> Report:
    """Compare the models after the first with the first, or with a baseline, and hold them against `limits` where there are any.

    `data` is what `--data` takes, or examples that are read already; `samples` uses at most so many of them, evenly spaced, and
    `synthetic` makes some up where there are none. With `layers`, it is also told at which layers the models part, and where their time
    goes. Timing ends as soon as limits that hold speed against something are decided.
    Raises UsageError, DataError or ModelError when something does not fit, before anything is timed where that can be known.
    """
    from optkit.runtimes import open_session

    stored = None if limits is None or limits.baseline is None else read_baseline(limits.baseline)
    given = _with_lineage(models, 2 if stored is None else 1)
    examples = examples_for(data, open_session(given[0].path).inputs, synthetic, given[0], settings.seed, samples)
    settings = _settled(settings, limits, () if stored is None else stored_metrics(stored))
    wanted = metrics_of(settings)
    _check_limits(limits, wanted, examples, settings.devices)
    slices = slices_by(settings.by, examples, wanted)
    with with_compiled(given, settings.compile) as measured:
        measurements = measure(measured, examples, settings, progress)
        more: dict[str, Any] = {}
        try:
            if not was_interrupted(measurements):
                more |= _layers(measured, examples, settings, progress) if layers else {}
                more["audits"] = _audits(measurements, examples, progress)
        except KeyboardInterrupt:
            measurements = as_interrupted(measurements)
        answered = scored_of(measurements, len(examples))
        parts = {word: names[:answered] for word, names in slices.items()}
        found = sliced(compare_all(measurements, settings.seed), measurements, parts, settings.seed)
        comparisons = tuple(_with_doubts(each, examples, wanted, settings.precision) for each in found)
    report = _report(title or _title(measurements), measurements, comparisons, limits if stored is None else None, examples, more)
    return report if stored is None else against(report, stored, limits, settings.seed)


def _settled(settings: Settings, limits: Limits | None, stored: Sequence[str]) -> Settings:
    """With the metrics of a baseline where none are named, and with what limits need to be known."""
    words = settings.metrics or tuple(stored) or None
    if limits is None:
        return replace(settings, metrics=words)
    if words and limits.min_agreement is not None:
        words = (*words, "agreement")
    return replace(settings, metrics=words, least_speedup=limits.min_speedup)


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


def _layers(models: Sequence[Artifact], examples: "Examples", settings: Settings, progress: Progress) -> dict[str, Any]:
    """Where the models part, and where their time goes."""
    from optkit.inspection.profile import profile_model

    names = distinguishing_names([model.path for model in models])
    device, threads = settings.devices[0], settings.threads[0]
    layers = compare_layers(models[0], models[1:], examples, names=names, threads=threads, progress=progress)
    profiles: dict[str, Profile] = {
        name: profile_model(each.path, examples, device, threads, settings.seconds / 4) for name, each in zip(names, models, strict=True)
    }
    return {"layers": layers, "profiles": profiles}


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


def _with_doubts(comparison: Comparison, examples: "Examples", metrics: "Sequence[Metric] | None", precision: float | None) -> Comparison:
    if precision is not None:
        comparison = with_precision_wished(comparison, precision)
    if metrics is None:
        comparison = replace(comparison, warnings=(*unused_labels(comparison, examples), *comparison.warnings))
    if not examples.synthetic:
        return comparison
    made_up = Warned("the inputs are made up: answers say how alike the models are, not how right", "give --data with labels for accuracy")
    return replace(comparison, warnings=(made_up, *comparison.warnings))
