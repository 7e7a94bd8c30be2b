"""The chains of recipes/ step by step, with several seeds: accuracy with intervals over seeds, size, time.

    python -m benchmarks.chain fashion --results DIR                     needs optkit[torch]; --seeds 1,2,3 by default
    python -m benchmarks.chain text --results DIR                        after recipes/text_teacher.yaml

Beside each step stands what it is to be held against: the same student trained without the teacher, for as many steps, and for the
images static INT8 without training (`quantize_static`). DIR keeps what was made, a folder for each seed, so that seeds may be
trained by several processes at once (`--seeds 1 --only distilled`), and a further call goes on. The time is that of one request on one
thread; all models take turns.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from optkit.artifact import Artifact
from optkit.compare import compare_all
from optkit.formats import model_size, read_artifact
from optkit.measure import Settings, measure
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

RECIPES = Path(__file__).parent.parent / "recipes"
TEACHER, SHIPPED = "teacher", "teacher exported"
PRUNED, PLAIN, DISTILLED = "pruned", "trained without teacher", "distilled"
EXPORTED, INT8, AWARE = "exported", "INT8", "INT8 trained"
FILES = {
    TEACHER: "teacher.safetensors",
    SHIPPED: "teacher.onnx",
    PRUNED: "pruned.safetensors",
    PLAIN: "plain.safetensors",
    DISTILLED: "distilled.safetensors",
    EXPORTED: "exported.onnx",
    INT8: "int8.onnx",
    AWARE: "aware.onnx",
}
Steps = tuple[Pass, ...]
Scores = Mapping[str, float]


@dataclass(frozen=True)
class Chain:
    """A ready recipe, and what is made beside its result."""

    recipe: str
    made: Callable[[Plan], Mapping[str, tuple[str, Steps]]]
    """For each model the one that it is made from, and the steps from there."""
    timed: tuple[str, ...]
    """The first is what the others are relative to: the same runtime, nothing else changed."""
    against: tuple[tuple[str, str], ...]
    """Differences to show, paired by seed."""


def of_images(plan: Plan) -> dict[str, tuple[str, Steps]]:
    """fashion_chain: pruned, distilled, INT8 by training and without."""
    at = {word_of(step): i for i, step in enumerate(plan.steps)}
    prune, learned = plan.steps[at["prune_channels"]], plan.steps[at["distill"]]
    assert isinstance(learned, Distill)
    same = {name: getattr(learned, name) for name in TrainingParameters.model_fields}
    return {
        TEACHER: (TEACHER, ()),
        SHIPPED: (TEACHER, (ExportOnnx(), SimplifyGraph())),
        PRUNED: (TEACHER, (prune,)),
        PLAIN: (TEACHER, (prune, Finetune(**same))),
        DISTILLED: (TEACHER, (prune, learned)),
        EXPORTED: (DISTILLED, plan.steps[at["export_onnx"] : at["quantize_aware"]]),
        INT8: (EXPORTED, (QuantizeStatic(),)),
        AWARE: (EXPORTED, (plan.steps[at["quantize_aware"]],)),
    }


def of_text(plan: Plan) -> dict[str, tuple[str, Steps]]:
    """text_chain: its student learns without its teacher, too, from the same start."""
    at = {word_of(step): i for i, step in enumerate(plan.steps)}
    learned, export, integers = plan.steps[0], plan.steps[1 : at["smooth_activations"]], plan.steps[at["smooth_activations"] :]
    assert isinstance(learned, Distill)
    alone = learned.model_copy(update={"label_share": 1 - 1e-9, "hidden": {}})
    return {
        TEACHER: (TEACHER, ()),
        SHIPPED: (TEACHER, export),
        PLAIN: (TEACHER, (alone,)),
        DISTILLED: (TEACHER, (learned,)),
        EXPORTED: (DISTILLED, export),
        INT8: (EXPORTED, integers),
    }


CHAINS = {
    "fashion": Chain(
        "fashion_chain",
        of_images,
        (SHIPPED, TEACHER, DISTILLED, EXPORTED, INT8, AWARE),
        ((DISTILLED, PLAIN), (AWARE, INT8), (AWARE, TEACHER)),
    ),
    "text": Chain(
        "text_chain",
        of_text,
        (SHIPPED, TEACHER, DISTILLED, EXPORTED, INT8),
        ((DISTILLED, PLAIN), (DISTILLED, TEACHER), (INT8, DISTILLED), (INT8, TEACHER)),
    ),
}


def main() -> None:
    """Make what is not there yet, and print the tables."""
    asked = _arguments()
    chain, seeds = CHAINS[asked.chain], [int(word) for word in asked.seeds.split(",")]
    known, left_out = chain.made(make_plan(_recipe(chain, seeds[0], asked.set))), asked.without.split(",")
    names = [name for name in known if name not in left_out]
    for seed in seeds:
        due = [name for name in asked.only.split(",") if name] or names
        _make_all(chain, seed, asked.results / f"seed-{seed}", asked.set, due, asked.train_on)
    if asked.only:
        return
    found = [_scores(chain, names, seed, asked.results / f"seed-{seed}", asked.set) for seed in seeds]
    first = asked.results / f"seed-{seeds[0]}"
    timed = [name for name in chain.timed if name in names]
    ratios = _times(chain, timed, first, asked.set, asked.time) if asked.time else {}
    against = [pair for pair in chain.against if set(pair) <= set(names)]
    print("\n".join(table(found, {name: model_size(first / FILES[name]) for name in names}, ratios, against)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chain", choices=CHAINS)
    parser.add_argument("--results", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--time", type=float, default=30.0, help="seconds of timing; 0 leaves it out")
    parser.add_argument("--only", default="", metavar="NAMES", help=f"make these and print no table; of {', '.join(FILES)}")
    parser.add_argument("--without", default="", metavar="NAMES", help="leave these out of the tables")
    parser.add_argument("--train-on", default="cpu", metavar="DEVICE", help="where students learn: cpu or cuda")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a change of the recipe, as optkit run takes it")
    return parser.parse_args()


def _recipe(chain: Chain, seed: int, changes: Sequence[str]) -> Recipe:
    return read_recipe(RECIPES / f"{chain.recipe}.yaml", [*changes, f"seed={seed}"])


def _make_all(chain: Chain, seed: int, folder: Path, changes: Sequence[str], names: Sequence[str], device: str) -> None:
    """The models of one seed; those that are there already stay."""
    folder.mkdir(parents=True, exist_ok=True)
    due = [name for name in names if not (folder / FILES[name]).is_file()]
    if not due:
        return
    recipe = _recipe(chain, seed, changes)
    with trusting_recipe(recipe):
        plan = make_plan(recipe)
        material, made = gather(plan), chain.made(plan)
        for name in due:
            started = time.process_time()
            _make(name, *made[name], plan, material, folder, device)
            print(f"seed {seed}: {name}, {time.process_time() - started:.0f} s of CPU time", flush=True)


def _make(name: str, origin: str, steps: Steps, plan: Plan, material: Material, folder: Path, device: str) -> None:
    target = folder / FILES[name]
    if not steps:
        target.write_bytes(material.source.path.read_bytes())
        return
    source = material.source if origin == TEACHER else read_artifact(folder / FILES[origin])
    trains = name in (PLAIN, DISTILLED)
    optimize(source, steps, target=target, examples=material.examples, seed=plan.recipe.seed, device=device if trains else plan.device)


def _artifacts(folder: Path, names: Sequence[str]) -> list[Artifact]:
    return [read_artifact(folder / FILES[name]) for name in names]


def _scores(chain: Chain, names: Sequence[str], seed: int, folder: Path, changes: Sequence[str]) -> Scores:
    """Share of right answers to the evaluation examples, of every model of one seed."""
    kept = folder / "scores.json"
    found: Scores = json.loads(kept.read_text()) if kept.is_file() else {}
    if not set(names) <= set(found):
        recipe = _recipe(chain, seed, changes)
        with trusting_recipe(recipe):
            examples = gather(make_plan(recipe)).examples["evaluation"]
            measured = measure(_artifacts(folder, names), examples, Settings(metrics=("top1",), meters=("size",)))
        top1 = [next(each for each in one.samples if each.metric == "top1") for one in measured]
        found = {name: float(np.mean(each.values)) for name, each in zip(names, top1, strict=True)}
        kept.write_text(json.dumps(found, indent=2))
    return found


def _times(chain: Chain, timed: Sequence[str], folder: Path, changes: Sequence[str], seconds: float) -> dict[str, str]:
    """How fast each model is, beside the first that is timed; the medians of that one and of the last in seconds."""
    recipe, (first, *others) = _recipe(chain, 0, changes), timed
    with trusting_recipe(recipe):
        examples = gather(make_plan(recipe)).examples["evaluation"].spread(256)
        measured = measure(_artifacts(folder, timed), examples, Settings(seconds=seconds, metrics=(), meters=("latency",)))
    found = {}
    for name, comparison in zip(others, compare_all(measured), strict=True):
        delta = next(each for each in comparison.deltas if each.metric == "latency_median")
        # a gain is 1 - after / before, of time
        fast, slowest, fastest = (1 / (1 - gain) for gain in (delta.gain, delta.low, delta.high))
        found[name] = f"{fast:.2f}× ({slowest:.2f}–{fastest:.2f}), {delta.after * 1e6:.0f} µs"
        found[first] = f"1×, {delta.before * 1e6:.0f} µs"
    return found


def table(found: Sequence[Scores], sizes: Mapping[str, int], times: Mapping[str, str], against: Sequence[tuple[str, str]]) -> list[str]:
    """Markdown: the models with intervals over seeds, and the differences."""
    runtime = {name: "ONNX Runtime" if file.endswith("onnx") else "PyTorch" for name, file in FILES.items()}
    lines = ["| model | runs in | top-1 (95 % over seeds) | size | speed |", "|---|---|---|---|---|"]
    for name in sizes:
        ratio = sizes[TEACHER] / sizes[name]
        size = f"{sizes[name] / 1000:,.0f} kB" + (f", 1/{ratio:.1f}" if ratio > 1.05 else "")
        lines.append(f"| {name} | {runtime[name]} | {percent([each[name] for each in found])} | {size} | {times.get(name, '')} |")
    lines += ["", "| difference, paired by seed | points (95 %) |", "|---|---|"]
    for one, other in against:
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
