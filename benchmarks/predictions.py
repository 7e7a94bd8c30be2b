"""How far `optkit inspect --roofline` is off: the gain that it predicts of each change beside the gain that the change gave.

Each FOLDER holds model.onnx, calibration.npz and evaluation.npz. Files are made by optkit's own commands and run in turns with the
model, on one thread. A prediction sees the calibration examples, the measurement is taken on the others. What was measured stays in
DIR, so that models can be done one at a time; without a FOLDER what is there is summed up.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import exp, log
from pathlib import Path

from optkit.api import quantize
from optkit.artifact import Artifact
from optkit.bench import bench
from optkit.compare import compare_all
from optkit.datasets import Examples, read_examples
from optkit.errors import OptkitError
from optkit.formats import read_artifact
from optkit.inspection.drafts import try_batch, try_drafts
from optkit.inspection.inspect_model import inspect_model
from optkit.inspection.peaks import measure_peaks
from optkit.inspection.profile import profile_model
from optkit.inspection.roofline import Tried, roofline
from optkit.measure import Settings, measure
from optkit.optimize import optimize
from optkit.recipe.reading import make_pass
from optkit.runtimes import open_session
from optkit.scenarios import Traffic

EXAMPLES = 16
BATCH = 8
Found = dict[str, float | str]


def main() -> None:
    """Measure what is named, and print a table of everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    parser.add_argument("--results", type=Path, default=Path("predictions"), metavar="DIR")
    parser.add_argument("--changes", default=",".join(CHANGES), help="Those to make, with commas between them. Default: all.")
    parser.add_argument("--seconds", type=float, default=5.0)
    asked = parser.parse_args()
    asked.results.mkdir(parents=True, exist_ok=True)
    for folder in asked.folders:
        known = asked.results / f"{folder.name}.json"
        rows: list[Found] = json.loads(known.read_text()) if known.exists() else []
        changes = [each for each in asked.changes.split(",") if each in CHANGES]
        found = measured(folder, changes, asked.results, asked.seconds)
        known.write_text(json.dumps([*(row for row in rows if row["change"] not in changes), *found], indent=2))
    print(table([json.loads(file.read_text()) for file in sorted(asked.results.glob("*.json"))]))


def measured(folder: Path, changes: Sequence[str], results: Path, seconds: float) -> list[Found]:
    """For each change what was predicted, and what it gave; where nothing paid the model stays as it is."""
    path = folder / "model.onnx"
    inputs = open_session(path).inputs
    known, others = (read_examples(str(folder / f"{name}.npz"), inputs) for name in ("calibration", "evaluation"))
    expected = predicted(path, known)
    rows: list[Found] = []
    for change in changes:
        row: Found = {"model": folder.name, "change": change, "predicted": expected[change]}
        try:
            low, high, speedup = CHANGES[change](path, known, others.spread(EXAMPLES), results / f"{folder.name}.onnx", seconds)
            row |= {"speedup": speedup, "low": low, "high": high}
        except OptkitError as error:
            row |= {"speedup": 1.0, "low": 1.0, "high": 1.0, "why": error.what}
        rows.append(row)
        print(f"{folder.name}: {change}: predicted {row['predicted']:.2f}, measured {row['speedup']:.2f}", flush=True)
    return rows


def predicted(path: Path, examples: Examples) -> dict[str, float]:
    """As `optkit inspect --roofline --data`."""
    feed = next(examples.feeds(1))
    found = inspect_model(path, feed=feed)
    drafts = try_drafts(path, examples, "cpu", 1, lambda what, done, total: None)
    batched = try_batch(path, examples, "cpu", 1)
    profiled = replace(found, profile=profile_model(path, examples, fastest=True, named=None))
    under = roofline(profiled, measure_peaks(), feed, tried=Tried(drafts=drafts, batched=batched))
    return {each.change: each.speedup for each in under.predictions}


def _quantized(precision: str) -> "Making":
    def make(model: Path, examples: Examples, target: Path) -> Artifact:
        given = None if precision == "fp16" else examples
        return quantize(model, target, precision=precision, data=given, cache=False, force=True)  # type: ignore[arg-type]

    return make


def _pruned(model: Path, examples: Examples, target: Path) -> Artifact:
    step = make_pass("prune_channels", {"ratio": 0.5})
    return optimize(read_artifact(model), [step], target=target, examples={"calibration": examples}, force=True)


Making = Callable[[Path, Examples, Path], Artifact]
Measuring = Callable[[Path, Examples, Examples, Path, float], tuple[float, float, float]]


def _raced(make: Making) -> Measuring:
    def race(model: Path, known: Examples, others: Examples, target: Path, seconds: float) -> tuple[float, float, float]:
        models = [read_artifact(model), make(model, known, target)]
        found = compare_all(measure(models, others, Settings(seconds=seconds, metrics=(), meters=("latency",))))
        (ratio,) = (delta for delta in found[0].deltas if delta.metric == "latency_median")
        return 1 / (1 - ratio.low), 1 / (1 - ratio.high), 1 / (1 - ratio.gain)

    return race


def _batched(model: Path, known: Examples, others: Examples, target: Path, seconds: float) -> tuple[float, float, float]:
    traffic = Traffic(seconds=seconds / 2, batches=(1, BATCH))
    (result,) = bench([read_artifact(model)], others, scenarios=("offline",), traffic=traffic).results
    rates = {figure.name: figure for figure in result.outcome.figures}
    if f"throughput_batch_{BATCH}" not in rates:
        raise OptkitError(f"it takes no batch of {BATCH}")
    one, many = rates["throughput_batch_1"], rates[f"throughput_batch_{BATCH}"]
    return (many.low or many.value) / (one.high or one.value), (many.high or many.value) / (one.low or one.value), many.value / one.value


CHANGES: Mapping[str, Measuring] = {
    "INT8": _raced(_quantized("int8")),
    "INT4 weights": _raced(_quantized("int4")),
    "FP16": _raced(_quantized("fp16")),
    "half the channels": _raced(_pruned),
    f"batch {BATCH}": _batched,
}


def table(models: Sequence[Sequence[Found]]) -> str:
    """A row for each model, `predicted → measured` for each change, and by what factor predictions are off."""
    lines = [f"| model | {' | '.join(CHANGES)} |", "| --- " * (1 + len(CHANGES)) + "|"]
    for rows in models:
        by_change = {row["change"]: row for row in rows}
        lines.append(f"| {rows[0]['model']} | {' | '.join(_cell(by_change.get(change)) for change in CHANGES)} |")
    everything = [row for rows in models for row in rows if _was_made(row)]
    off = {change: [_off(row) for row in everything if row["change"] == change] for change in CHANGES}
    lines.append(f"| off by, on average | {' | '.join(f'{exp(sum(each) / len(each)):.2f}' if each else '' for each in off.values())} |")
    lines.append(f"| off by, at most | {' | '.join(f'{exp(max(each)):.2f}' if each else '' for each in off.values())} |")
    return "\n".join(lines)


def _was_made(row: Found) -> bool:
    """Whether the change was tried: a model that takes no batch of 8 says nothing of what that would give."""
    return row["change"] in ("INT8", "INT4 weights", "FP16") or "why" not in row


def _cell(row: Found | None) -> str:
    if row is None or not _was_made(row):
        return ""
    return f"{row['predicted']:.2f} → {row['speedup']:.2f} ({row['low']:.2f} to {row['high']:.2f})"


def _off(row: Found) -> float:
    return abs(log(float(row["predicted"]) / float(row["speedup"])))


if __name__ == "__main__":
    main()
