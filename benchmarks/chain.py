"""The chain of recipes/fashion_chain.yaml step by step, with several seeds: accuracy with intervals over seeds, size, time.

    python -m benchmarks.chain --results DIR                     needs optkit[torch]; --seeds 1,2,3 by default

Beside each step stands what it is to be held against: the same pruned student trained without the teacher, for as many epochs
(`finetune`), and static INT8 without training (`quantize_static`). DIR keeps what was made, a folder for each seed, so that seeds may be
trained by several processes at once (`--seeds 1 --only distilled`), and a further call goes on. The time is that of one request on one
thread; all models take turns.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from optkit.artifact import Artifact
from optkit.compare import compare_all
from optkit.formats import model_size, read_artifact
from optkit.measure import measure
from optkit.metrics import find_metric
from optkit.optimize import optimize
from optkit.passes import Pass, word_of
from optkit.passes.distill import Distill
from optkit.passes.export_onnx import ExportOnnx
from optkit.passes.finetune import Finetune
from optkit.passes.quantize_static import QuantizeStatic
from optkit.passes.simplify_graph import SimplifyGraph
from optkit.plan import Plan, make_plan
from optkit.plan.preview import Material, gather
from optkit.plan.torch_source import trusting_recipe
from optkit.recipe import Recipe, read_recipe
from optkit.training.parameters import TrainingParameters

RECIPE = Path(__file__).parent.parent / "recipes" / "fashion_chain.yaml"
TEACHER, SHIPPED = "teacher", "teacher exported"
PRUNED, PLAIN, DISTILLED = "pruned", "trained without teacher", "distilled"
EXPORTED, STATIC, AWARE = "exported", "INT8", "INT8 trained"
FILES = {
    TEACHER: "teacher.safetensors",
    SHIPPED: "teacher.onnx",
    PRUNED: "pruned.safetensors",
    PLAIN: "plain.safetensors",
    DISTILLED: "distilled.safetensors",
    EXPORTED: "exported.onnx",
    STATIC: "static.onnx",
    AWARE: "aware.onnx",
}
TIMED = (SHIPPED, TEACHER, DISTILLED, EXPORTED, STATIC, AWARE)
"""The first is what the others are relative to: the same runtime, nothing else changed. Pruned and plain are built as the distilled is."""
AGAINST = ((DISTILLED, PLAIN), (AWARE, STATIC), (AWARE, TEACHER))
"""Differences to show, paired by seed."""
Scores = Mapping[str, float]


def main() -> None:
    """Make what is not there yet, and print the tables."""
    asked = _arguments()
    seeds = [int(word) for word in asked.seeds.split(",")]
    for seed in seeds:
        _make_all(seed, asked.results / f"seed-{seed}", asked.set, asked.only.split(",") if asked.only else list(FILES), asked.train_on)
    if asked.only:
        return
    found = [_scores(seed, asked.results / f"seed-{seed}", asked.set) for seed in seeds]
    first = asked.results / f"seed-{seeds[0]}"
    ratios = _times(first, asked.set, asked.time) if asked.time else {}
    print("\n".join(table(found, {name: model_size(first / file) for name, file in FILES.items()}, ratios)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--time", type=float, default=30.0, help="seconds of timing; 0 leaves it out")
    parser.add_argument("--only", default="", metavar="NAMES", help=f"make these and print no table; of {', '.join(FILES)}")
    parser.add_argument("--train-on", default="cpu", metavar="DEVICE", help="where students learn: cpu or cuda")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a change of the recipe, as optkit run takes it")
    return parser.parse_args()


def _recipe(seed: int, changes: Sequence[str]) -> Recipe:
    return read_recipe(RECIPE, [*changes, f"seed={seed}"])


def _make_all(seed: int, folder: Path, changes: Sequence[str], names: Sequence[str], device: str) -> None:
    """The models of one seed; those that are there already stay."""
    due = [name for name in names if not (folder / FILES[name]).is_file()]
    if not due:
        return
    folder.mkdir(parents=True, exist_ok=True)
    recipe = _recipe(seed, changes)
    with trusting_recipe(recipe):
        plan = make_plan(recipe)
        material = gather(plan)
        for name in due:
            started = time.monotonic()
            _make(name, plan, material, folder, device)
            print(f"seed {seed}: {name}, {time.monotonic() - started:.0f} s", flush=True)


def chains(plan: Plan) -> dict[str, tuple[str, tuple[Pass, ...]]]:
    """For each model the one that it is made from, and the steps from there."""
    at = {word_of(step): i for i, step in enumerate(plan.steps)}
    prune, learned = plan.steps[at["prune_channels"]], plan.steps[at["distill"]]
    assert isinstance(learned, Distill)
    same = {field: getattr(learned, field) for field in TrainingParameters.model_fields}
    return {
        TEACHER: (TEACHER, ()),
        SHIPPED: (TEACHER, (ExportOnnx(), SimplifyGraph())),
        PRUNED: (TEACHER, (prune,)),
        PLAIN: (TEACHER, (prune, Finetune(**same))),
        DISTILLED: (TEACHER, (prune, learned)),
        EXPORTED: (DISTILLED, plan.steps[at["export_onnx"] : at["quantize_aware"]]),
        STATIC: (EXPORTED, (QuantizeStatic(),)),
        AWARE: (EXPORTED, (plan.steps[at["quantize_aware"]],)),
    }


def _make(name: str, plan: Plan, material: Material, folder: Path, device: str) -> None:
    origin, steps = chains(plan)[name]
    target = folder / FILES[name]
    if not steps:
        target.write_bytes(material.source.path.read_bytes())
        return
    source = material.source if origin == TEACHER else read_artifact(folder / FILES[origin])
    trains = name in (PLAIN, DISTILLED)
    optimize(source, steps, target=target, examples=material.examples, seed=plan.recipe.seed, device=device if trains else plan.device)


def _artifacts(folder: Path, names: Sequence[str]) -> list[Artifact]:
    return [read_artifact(folder / FILES[name]) for name in names]


def _scores(seed: int, folder: Path, changes: Sequence[str]) -> Scores:
    """Share of right answers to the evaluation examples, of every model of one seed."""
    kept = folder / "scores.json"
    if not kept.is_file():
        recipe = _recipe(seed, changes)
        with trusting_recipe(recipe):
            examples = gather(make_plan(recipe)).examples["evaluation"]
            measured = measure(_artifacts(folder, list(FILES)), examples, [find_metric("top1")], meters=("size",))
        top1 = [next(each for each in one.samples if each.metric == "top1") for one in measured]
        kept.write_text(json.dumps({name: float(np.mean(each.values)) for name, each in zip(FILES, top1, strict=True)}, indent=2))
    found: Scores = json.loads(kept.read_text())
    return found


def _times(folder: Path, changes: Sequence[str], seconds: float) -> dict[str, str]:
    """How fast each model is, beside the first of TIMED; the medians of that one and of the last in seconds."""
    recipe = _recipe(0, changes)
    with trusting_recipe(recipe):
        examples = gather(make_plan(recipe)).examples["evaluation"].spread(256)
        measured = measure(_artifacts(folder, TIMED), examples, [], seconds=seconds, meters=("latency",))
    found = {}
    for name, comparison in zip(TIMED[1:], compare_all(measured), strict=True):
        delta = next(each for each in comparison.deltas if each.metric == "latency_median")
        # a gain is 1 - after / before, of time
        fast, slowest, fastest = (1 / (1 - gain) for gain in (delta.gain, delta.low, delta.high))
        found[name] = f"{fast:.2f}× ({slowest:.2f}–{fastest:.2f}), {delta.after * 1e6:.0f} µs"
        found[TIMED[0]] = f"1×, {delta.before * 1e6:.0f} µs"
    return found


def table(found: Sequence[Scores], sizes: Mapping[str, int], times: Mapping[str, str]) -> list[str]:
    """Markdown: the models with intervals over seeds, and the differences."""
    runtime = {name: "ONNX Runtime" if file.endswith("onnx") else "PyTorch" for name, file in FILES.items()}
    lines = ["| model | runs in | top-1 (95 % over seeds) | size | speed |", "|---|---|---|---|---|"]
    for name in FILES:
        ratio = sizes[TEACHER] / sizes[name]
        size = f"{sizes[name] / 1000:,.0f} kB" + (f", 1/{ratio:.1f}" if ratio > 1.05 else "")
        lines.append(f"| {name} | {runtime[name]} | {percent([each[name] for each in found])} | {size} | {times.get(name, '')} |")
    lines += ["", "| difference, paired by seed | points (95 %) |", "|---|---|"]
    for one, other in AGAINST:
        lines.append(f"| {one} − {other} | {percent([each[one] - each[other] for each in found], signed=True)} |")
    return lines


def percent(values: Sequence[float], *, signed: bool = False) -> str:
    """The mean of several seeds with Student's t-interval, in percent; one seed, or values that are all the same, have none."""
    sign, mean = "+" if signed else "", 100 * float(np.mean(values))
    if len(values) < 2 or max(values) == min(values):
        return f"{mean:{sign}.2f}"
    half = float(stats.t.ppf(0.975, len(values) - 1)) * 100 * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return f"{mean:{sign}.2f} ({mean - half:{sign}.2f} to {mean + half:{sign}.2f})"


if __name__ == "__main__":
    main()
