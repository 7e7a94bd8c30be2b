"""An exhaustive search for the best INT8 configuration of a model, and how near optkit's default comes to it.

Searched: every variant that optkit knows, in every combination of number formats (U8S8, U8S8 with weights narrowed where sums could
overflow, U8S7, S8S8, U8U8) and file formats (QDQ, QOperator); then, around the leaders, one scale per tensor, node sets (every subset of
the kinds of layers, every run of neighbouring layers, without the layers that save least time or cost most fidelity), and one node at a
time put back to float or into integers as long as that makes it faster. The leaders race again beside the default, and the best one alone
against it.
"""

import argparse
import subprocess
import sys
import tempfile
from dataclasses import replace
from math import inf
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from exhaustive.ground import FORMATS, GRANULARITIES, NUMBERS, Configuration, Ground
from exhaustive.node_sets import by_block, by_kind, by_rank, slowest_first
from exhaustive.outcome import AS_FAITHFUL, Measured, Outcome, leaders, outcome_text
from exhaustive.toggles import climb

from optkit.datasets import read_examples
from optkit.errors import OptkitError
from optkit.formats.onnx import load_model
from optkit.quantization.choosing.sensitivity import noise_by_node
from optkit.quantization.float_graph.checked import prepare_checked
from optkit.quantization.variants.calibrate import calibrate
from optkit.quantization.variants.candidates import candidates
from optkit.quantization.variants.node_times import gains, profile_nodes
from optkit.quantization.variants.race import race
from optkit.quantization.variants.treatment import Way
from optkit.quantization.variants.trial import Bench
from optkit.quantization.variants.wishes import Setting
from optkit.records import write_record
from optkit.runtimes import full_feeds, open_session
from optkit.stats.interval import Interval

JUDGED = 24
"""Evaluation examples that fidelity is judged on."""
CALIBRATED = 128
FINALISTS = 6


def main() -> None:
    """Search each model given, print what was found, and keep it."""
    asked = _arguments()
    asked.results.mkdir(parents=True, exist_ok=True)
    for folder in asked.models:
        with tempfile.TemporaryDirectory() as place:
            outcome = searched(folder, Path(place), asked)
        name = folder.absolute().name
        (asked.results / f"{name}.oracle.json").write_text(write_record(outcome), encoding="utf-8")
        (asked.results / f"{name}.oracle.md").write_text(outcome_text(outcome) + "\n", encoding="utf-8")
        print(outcome_text(outcome), end="\n\n", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path, metavar="FOLDER", help="holds model.onnx, calibration.npz and evaluation.npz")
    parser.add_argument("--results", type=Path, default=Path("oracle-results"), help="where tables are kept")
    parser.add_argument("--floor", type=float, default=18.0, help="dB of fidelity asked for; optkit's default keeps 18")
    parser.add_argument("--seconds", type=float, default=0.6, help="of timing each configuration")
    parser.add_argument("--final", type=float, default=20.0, help="seconds of each of the two last races")
    parser.add_argument("--toggles", type=float, default=120.0, help="seconds of putting single nodes back and forth")
    parser.add_argument("--also", nargs="*", type=Path, default=[], metavar="FILE", help="models made by others, for this one FOLDER")
    parser.add_argument("--default", type=Path, metavar="FILE", help="what optkit's default made, where it is there already")
    return parser.parse_args()


def searched(folder: Path, place: Path, asked: argparse.Namespace) -> Outcome:
    """All stages of the search on one model."""
    ground = prepared_ground(folder, place, asked.seconds)
    starts = candidates(ground.bench.model, "auto", True)
    ground.explore([Configuration(t, n, GRANULARITIES[0], f) for t in starts for n in NUMBERS for f in FORMATS], "formats and numbers")
    for configuration in _leading(ground, asked.floor, 3):
        ground.explore([replace(configuration, granularity=GRANULARITIES[1])], "one scale per tensor")
    for configuration in _fastest_of_each_way(ground):
        _search_node_sets(ground, configuration)
    for configuration in _leading(ground, asked.floor, 1):
        climb(ground, configuration, asked.floor, asked.toggles)
    default = _default(ground, folder, place, asked.default)
    for number, file in enumerate(asked.also):
        ground.add_file(file, f"{file.parent.name} ({number + 1})", "others")
    return _decided(folder.absolute().name, ground, default, asked)


def prepared_ground(folder: Path, place: Path, seconds: float) -> Ground:
    """The bench that optkit itself would use, judged on evaluation examples."""
    original = folder / "model.onnx"
    session, model = open_session(original), load_model(original)
    calibration = read_examples(str(folder / "calibration.npz"), session.inputs).spread(CALIBRATED)
    judging = read_examples(str(folder / "evaluation.npz"), session.inputs).spread(JUDGED)
    feeds = list(full_feeds(session, judging))
    prepared = prepare_checked(original, model, feeds, "cpu", 1).model
    learned = calibrate(prepared, candidates(prepared, "auto", True), calibration, "auto", Setting())
    bench = Bench(original, prepared, learned, feeds, place, "cpu", 1, 0, lambda session, fidelity: (True, None))
    return Ground(bench, seconds)


def _leading(ground: Ground, floor: float, count: int) -> list[Configuration]:
    """The fastest configurations that differ in their treatment."""
    chosen: dict[str, Configuration] = {}
    for measured in leaders(list(ground.found.values()), floor, len(ground.found)):
        configuration = ground.configurations.get(measured.name)
        if configuration is not None and configuration.treatment.ways:
            chosen.setdefault(configuration.treatment.name, configuration)
    return list(chosen.values())[:count]


def _fastest_of_each_way(ground: Ground) -> list[Configuration]:
    """The fastest with static nodes and the fastest without, however faithful: with fewer nodes both may become fast and faithful."""
    found: dict[bool, Configuration] = {}
    for configuration in _leading(ground, -inf, len(ground.found)):
        found.setdefault(any(way is not Way.DYNAMIC for way in configuration.treatment.ways.values()), configuration)
    return list(found.values())


def _search_node_sets(ground: Ground, start: Configuration) -> None:
    bench, treatment = ground.bench, start.treatment
    names = [n for n in treatment.ways if bench.is_weighted(n)]
    before, after = (profile_nodes(path, bench.profiled, 1, "cpu") for path in (bench.as_float(), ground.files[start.name]))
    saved = gains(bench.layers(names), before, after)
    noise = noise_by_node(bench, treatment, lambda what, done, total: None)
    noisiest = sorted(noise, key=lambda n: noise[n], reverse=True)
    dearest = sorted(noise, key=lambda n: noise[n] / max(saved.get(n, 0.0), 1e-7), reverse=True)
    for stage, treatments in (
        ("kinds of layers", by_kind(bench.model, treatment)),
        ("runs of layers", by_block(names, treatment)),
        ("by time", by_rank(slowest_first(names, saved), treatment, "that save least")),
        ("by noise", by_rank(noisiest, treatment, "noisiest")),
        ("by noise and time", by_rank(dearest, treatment, "with most noise for the time saved")),
    ):
        ground.explore([replace(start, treatment=t) for t in treatments], stage)


def _default(ground: Ground, folder: Path, place: Path, given: Path | None) -> Measured | None:
    """What `optkit quantize --int8` makes; None where it hands nothing over."""
    made = given or place / "default.onnx"
    if given is None:
        command = [sys.executable, "-m", "optkit", "quantize", str(folder / "model.onnx"), "--int8", "--no-cache", "-o", str(made)]
        subprocess.run([*command, "--data", str(folder / "calibration.npz")], capture_output=True, check=False)
    return ground.add_file(made, "optkit's default", "default") if made.exists() else None


def _decided(name: str, ground: Ground, default: Measured | None, asked: argparse.Namespace) -> Outcome:
    """The leaders race again beside the default; then the best of them alone against it, since the best of many is partly luck."""
    smaller = [m for m in ground.found.values() if m.size < 1 and m is not default]
    faithful = [*leaders(smaller, asked.floor, FINALISTS)]
    if default is not None:
        faithful += leaders(smaller, max(asked.floor, default.sqnr - AS_FAITHFUL), FINALISTS // 2)
    finalists = list({m.name: m for m in faithful}.values())
    if not finalists:
        return Outcome(name, asked.floor, default, None, Interval(1, 1, 1), tuple(ground.found.values()), ground.failed)
    entrants = [*finalists, *([default] if default else [])]
    for measured, ratio in zip(entrants, ground.timed([ground.files[m.name] for m in entrants], asked.final), strict=True):
        ground.found[measured.name] = replace(measured, ratio=ratio)
    best = min((ground.found[m.name] for m in finalists), key=lambda m: m.ratio.value)
    ours = ground.files[default.name] if default else ground.bench.original
    share = race([ours, ground.files[best.name]], ground.bench.raced, seconds=asked.final, threads=1, device="cpu", seed=1)[1]
    last = ground.found[default.name] if default else None
    return Outcome(name, asked.floor, last, best, share, tuple(ground.found.values()), ground.failed)


if __name__ == "__main__":
    try:
        main()
    except OptkitError as error:
        sys.exit(str(error))
