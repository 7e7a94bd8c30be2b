"""An exhaustive search for the best INT8 configuration of a model, and how near optkit's default comes to it.

Searched: every variant that optkit knows, others that mix their ways or reach further, and weights in groups, in every combination of
number formats (U8S8, U8S8 with weights narrowed where sums could overflow, U8S7, S8S8, U8U8) and file formats (QDQ, QOperator); the
float graph without optkit's rewrites, and with channels of alike range where the fastest is not faithful enough; then node sets (the
cheapest cuts if profiles are off by this much or that, every subset of the kinds of layers, every run of neighbouring layers, without
the layers that save least time or cost most fidelity); around the leaders all formats again, one scale per tensor, channels of zeros
in fewer places; and one node at a time put into float, into integers or into another way, as long as that makes it faster.
Whatever ONNX Runtime would leave in float between integers is left out of them. The leaders race again beside the default, and the
best one alone against it, of those that the default might have handed over, and of those that are as faithful as it.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path

import onnx_ir as ir

sys.path.insert(0, str(Path(__file__).parent))

from exhaustive.cuts import cheapest_cuts
from exhaustive.ground import FILLED, FORMATS, GIVEN, GRANULARITIES, NUMBERS, SCALED, SIMPLIFIED, Configuration, Ground
from exhaustive.node_sets import by_block, by_kind, by_rank, slowest_first
from exhaustive.outcome import AS_FAITHFUL, Measured, Outcome, Rival, leaders, outcome_text
from exhaustive.starts import starts
from exhaustive.toggles import climb

from optkit.arrays import Array
from optkit.datasets import read_examples
from optkit.errors import OptkitError
from optkit.formats.onnx import load_model
from optkit.quantization.calibration.feeds import Feeds
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.choosing.scaled import scaled, scaled_bench
from optkit.quantization.choosing.sensitivity import noise_by_node
from optkit.quantization.choosing.small_products import with_single_scales
from optkit.quantization.float_graph.checked import prepare_checked
from optkit.quantization.float_graph.prepare import prepare
from optkit.quantization.variants.calibrate import all_within_reach, calibrate
from optkit.quantization.variants.candidates import candidates
from optkit.quantization.variants.node_times import gains, node_times, profile_nodes
from optkit.quantization.variants.race import race
from optkit.quantization.variants.treatment import Treatment, Way
from optkit.quantization.variants.trial import Bench
from optkit.records import write_record
from optkit.runtimes import full_feeds, open_session

JUDGED = 24
"""Evaluation examples that fidelity is judged on."""
CALIBRATED = 128
FINALISTS = 5
WIDELY = 1.5
"""Times the least time. No other integers make so much of a difference, so that what takes longer is tried in one form only."""
CUTTABLE = 2.5
"""Times the least time. What takes longer has few nodes that integers make faster."""


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
    parser.add_argument("--floor", type=float, help="dB of fidelity asked for, in place of the rules that optkit's default keeps")
    parser.add_argument("--keep", action="store_true", help="keep the files that won, beside the tables")
    parser.add_argument("--seconds", type=float, default=0.6, help="of timing each configuration")
    parser.add_argument("--final", type=float, default=20.0, help="seconds of each of the two last races")
    parser.add_argument("--toggles", type=float, default=120.0, help="seconds of putting single nodes back and forth")
    parser.add_argument("--also", nargs="*", type=Path, default=[], metavar="FILE", help="models made by others, for this one FOLDER")
    parser.add_argument("--default", type=Path, metavar="FILE", help="what optkit's default made, where it is there already")
    return parser.parse_args()


def searched(folder: Path, place: Path, asked: argparse.Namespace) -> Outcome:
    """All stages of the search on one model."""
    ground, calibration = prepared_ground(folder, place, asked)
    begun = time.monotonic()

    def told(stage: str) -> None:
        print(f"{time.monotonic() - begun:5.0f} s  {len(ground.found):4d} tried  {stage}", file=sys.stderr, flush=True)

    treatments = all_within_reach(ground.bench.model, starts(ground.bench.model), ground.bench.learned)
    told("formats and numbers")
    ground.explore([Configuration(t) for t in treatments], "formats and numbers")
    for treatment in _near(ground, treatments, WIDELY):
        ground.explore(_in_every_form(Configuration(treatment)), "formats and numbers")
        ground.explore(_with_fewer_scales(ground, Configuration(treatment)), "one scale per tensor")
    told("the float graph as given")
    _search_given_graph(ground, folder, calibration)
    told("cheapest cuts")
    for treatment in _near(ground, treatments, CUTTABLE):
        ground.explore([Configuration(t) for t in cheapest_cuts(ground.bench, treatment) if t.ways], "cheapest cuts")
    for configuration in _fastest_of_each_way(ground):
        told(f"node sets of {configuration.name}")
        _search_node_sets(ground, configuration)
    told("channels of alike range")
    _search_scaled(ground, calibration)
    told("formats and numbers of the leaders")
    for configuration in _leading(ground, 3):
        _search_around(ground, configuration)
    for configuration in _leading(ground, 1):
        told(f"single nodes of {configuration.name}")
        climb(ground, configuration, asked.toggles)
    told("the default and others")
    default = _default(ground, folder, place, asked.default)
    for number, file in enumerate(asked.also):
        ground.add_file(file, f"{file.parent.name} ({number + 1})", "others")
    told("the last races")
    return _decided(folder.absolute().name, ground, default, asked)


def prepared_ground(folder: Path, place: Path, asked: argparse.Namespace) -> tuple[Ground, Feeds]:
    """The bench that optkit itself would use, judged on evaluation examples; and the calibration examples."""
    original = folder / "model.onnx"
    session, model = open_session(original), load_model(original)
    calibration = read_examples(str(folder / "calibration.npz"), session.inputs).spread(CALIBRATED)
    judging = read_examples(str(folder / "evaluation.npz"), session.inputs).spread(JUDGED)
    feeds = list(full_feeds(session, judging))
    prepared = prepare_checked(original, model, feeds, "cpu", 1).model
    return Ground(_bench(original, prepared, calibration, feeds, place), asked.seconds, asked.floor), calibration


def _bench(original: Path, model: ir.Model, calibration: Feeds, feeds: Sequence[Mapping[str, Array]], place: Path) -> Bench:
    learned = calibrate(model, starts(model), Watcher(calibration), "auto")
    return Bench(original, model, learned, feeds, place, "cpu", 1, 0, lambda session, fidelity: (True, None))


def _search_given_graph(ground: Ground, folder: Path, calibration: Feeds) -> None:
    """What optkit's rewriting of the float graph is worth, with everything else as usual."""
    given = prepare(load_model(folder / "model.onnx"), rewrite=False, soften=False).model
    place = ground.bench.folder / "given"
    place.mkdir()
    ground.others[GIVEN] = bench = _bench(ground.bench.original, given, calibration, ground.bench.feeds, place)
    treatments = all_within_reach(given, candidates(given, "auto", True), bench.learned)
    ground.explore([Configuration(t, graph=GIVEN) for t in treatments], "the float graph as given")


def _search_scaled(ground: Ground, calibration: Feeds) -> None:
    """Where the fastest is not faithful enough, the same with channels of alike range."""
    for configuration in _leading(ground, 1, room=-inf):
        other = None
        if configuration.graph == SIMPLIFIED and ground.found[configuration.name].room < 0:
            other = scaled_bench(ground.bench, configuration.treatment, Watcher(calibration), "auto")
        if other is not None:
            ground.others[SCALED] = other
            start = Configuration(scaled(configuration.treatment), graph=SCALED)
            ground.explore([start], SCALED)
            _search_node_sets(ground, start)


def _search_around(ground: Ground, start: Configuration) -> None:
    """A leader in every other form."""
    ground.explore(_in_every_form(start), "formats and numbers of the leaders")
    ground.explore(_with_fewer_scales(ground, start), "one scale per tensor")
    ground.explore([replace(start, filled=filled) for filled in FILLED], "channels of zeros")


def _with_fewer_scales(ground: Ground, start: Configuration) -> list[Configuration]:
    """One for each weight, in both file formats; and one for each weight of a small product."""
    found = [replace(start, granularity=GRANULARITIES[1], format=f) for f in FORMATS]
    bench = ground.bench_of(start)
    trial = bench.attempt(start.treatment)
    if trial is not None:
        single = with_single_scales(trial.treatment, node_times(trial.path, bench.profiled, 1, "cpu"), bench.outputs)
        trial.path.unlink()
        found += [replace(start, treatment=single, format=f) for f in FORMATS] if single is not None else []
    return found


def _in_every_form(start: Configuration) -> list[Configuration]:
    return [replace(start, numbers=n, format=f) for n in NUMBERS for f in FORMATS]


def _near(ground: Ground, treatments: Sequence[Treatment], factor: float) -> list[Treatment]:
    """Those that take less than so many times the least time so far."""
    least = min((m.ratio.value for m in ground.found.values()), default=inf)
    best = {t.name: min((m.ratio.value for n, m in ground.found.items() if _treats(ground, n, t)), default=inf) for t in treatments}
    return [t for t in treatments if best[t.name] < factor * least]


def _treats(ground: Ground, name: str, treatment: Treatment) -> bool:
    configuration = ground.configurations.get(name)
    return configuration is not None and configuration.treatment.name == treatment.name


def _leading(ground: Ground, count: int, *, room: float = 0.0) -> list[Configuration]:
    """The fastest configurations that differ in their treatment."""
    chosen: dict[str, Configuration] = {}
    for measured in leaders(list(ground.found.values()), len(ground.found), room=room):
        configuration = ground.configurations.get(measured.name)
        if configuration is not None and configuration.treatment.ways:
            chosen.setdefault(configuration.treatment.name, configuration)
    return list(chosen.values())[:count]


def _fastest_of_each_way(ground: Ground) -> list[Configuration]:
    """The fastest with static nodes and the fastest without, however faithful: with fewer nodes both may become fast and faithful.

    Of the candidates, not of what cuts left of them: from those sets of nodes are made by other rules.
    """
    found: dict[bool, Configuration] = {}
    for configuration in _leading(ground, len(ground.found), room=-inf):
        if configuration.graph == SIMPLIFIED and ground.found[configuration.name].stage == "formats and numbers":
            found.setdefault(any(way is not Way.DYNAMIC for way in configuration.treatment.ways.values()), configuration)
    return list(found.values())


def _search_node_sets(ground: Ground, start: Configuration) -> None:
    bench, treatment = ground.bench_of(start), start.treatment
    names = [n for n in treatment.ways if bench.is_weighted(n)]
    trial = bench.attempt(treatment)
    if trial is None:
        return
    before, after = (profile_nodes(path, bench.profiled, 1, "cpu") for path in (bench.as_float(), trial.path))
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
    smaller = [m for m in ground.found.values() if m.size < 1 and m is not default and ground.files[m.name].exists()]
    least = default.sqnr - AS_FAITHFUL if default is not None else -inf
    finalists = {m.name: m for m in [*leaders(smaller, FINALISTS), *leaders(smaller, FINALISTS, sqnr=least)]}
    entrants = [*finalists.values(), *([default] if default else [])]
    for measured, ratio in zip(entrants, ground.timed([ground.files[m.name] for m in entrants], asked.final), strict=True):
        ground.found[measured.name] = replace(measured, ratio=ratio)
    last = ground.found[default.name] if default else None
    again = [ground.found[name] for name in finalists]
    ours = ground.files[default.name] if default else ground.bench.original
    rivals: dict[str, Rival] = {}
    for best in (*leaders(again, 1), *leaders(again, 1, sqnr=least)):
        if best.name not in rivals:
            files = [ours, ground.files[best.name]]
            share = race(files, ground.bench.raced, seconds=asked.final, threads=1, device="cpu", seed=1)[1]
            rivals[best.name] = Rival(best, share)
            if asked.keep:
                for kind, file in zip(("default", f"rival{len(rivals)}"), files, strict=True):
                    shutil.copy(file, asked.results / f"{name}.{kind}.onnx")
    fastest = next((rivals[m.name] for m in leaders(again, 1)), None)
    alike = next((rivals[m.name] for m in leaders(again, 1, sqnr=least) if default), None)
    return Outcome(name, last, fastest, alike, tuple(ground.found.values()), ground.failed)


if __name__ == "__main__":
    try:
        main()
    except OptkitError as error:
        sys.exit(str(error))
