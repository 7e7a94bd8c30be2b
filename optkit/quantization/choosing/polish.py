"""What effort high does to the variant that won: everything in it that costs no time is decided anew, by the outputs.

How outlier channels are divided, which ranges activations have, and which way every weight is rounded, those that are only stored as
well; and what takes next to no time, if a race shows none lost (spend.py). Each is kept where the outputs come closer on examples that
nothing was learned from (held_out.py), in the order in which one builds on the other.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import onnx_ir as ir

from optkit.quantization.affine import Grid
from optkit.quantization.calibration.means import channel_means
from optkit.quantization.calibration.output_ranges import MOST_RUNS, ranges_by_output
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.channels.spread_divisions import spread_divisions
from optkit.quantization.choosing.held_out import Lesson
from optkit.quantization.choosing.settled import kept, settled_by
from optkit.quantization.choosing.spend import no_slower, with_float_tail
from optkit.quantization.graphs import all_graphs
from optkit.quantization.integer_graph.compress import compressible
from optkit.quantization.integer_graph.insert_dynamic import can_be_dynamic
from optkit.quantization.integer_graph.insert_recurrent import WEIGHTS, RoundedGates
from optkit.quantization.integer_graph.insert_static import tensors_to_observe
from optkit.quantization.operators import weighted_nodes
from optkit.quantization.rounding.gate_rounding import can_learn_gates, round_gates
from optkit.quantization.rounding.learned_rounding import Rounded, round_weights
from optkit.quantization.variants.calibrate import EXAMPLES_FOR_MEANS
from optkit.quantization.variants.learned import Learned
from optkit.quantization.variants.treatment import Treatment, Way, consistent_ways
from optkit.quantization.variants.trial import Bench, Trial
from optkit.quantization.variants.wishes import Wishes

SHARES, FIRST_SHARES = (0.0, -0.01), (0.01,)
"""Of the model's time, by estimate, that dividing channels may take more than it did, and where none were divided: races decide."""
FEWEST_FOR_RANGES, MOST_SECONDS = 16, 30.0
"""Examples that a range is tried on, and seconds for all tries: with fewer examples ranges fit those alone, and slow models get no more."""


def polish(bench: Bench, best: Trial, lesson: Lesson, wishes: Wishes) -> Trial:
    """The same variant, closer to the float model; its file is one of the bench's, and `bench.learned` is what it was made from."""
    default = best
    best = _with_float_ends(bench, best, lesson, wishes)
    best = _with_float_tail(bench, best, default, lesson, wishes)
    if not lesson.held_out.enough:  # nothing tells whether what is learned holds for others
        return best
    best = _with_divisions(bench, best, default, lesson, wishes)
    if lesson.seconds * MOST_RUNS * FEWEST_FOR_RANGES <= MOST_SECONDS:
        best = _learned_by(_fit_ranges, bench, best, lesson, wishes)
    return _rounded_and_settled(bench, best, lesson, wishes)


def _learned_by(step: Callable[[Bench, Treatment, Watcher], Learned], bench: Bench, best: Trial, lesson: Lesson, wishes: Wishes) -> Trial:
    plain = bench.learned
    bench.learned = step(bench, best.treatment, lesson.watcher)
    better = _better(bench, best, best.treatment, lesson, wishes) if bench.learned is not plain else None
    if better is None:
        bench.learned = plain
    return better or best


def _with_float_ends(bench: Bench, best: Trial, lesson: Lesson, wishes: Wishes) -> Trial:
    """Without rounding what integer Gemms give to float nodes: nothing is computed instead, so it takes no time either."""
    ways = consistent_ways(bench.model, best.treatment)
    ends = [
        str(n.name)
        for n in weighted_nodes(bench.model)
        if n.op_type == "Gemm" and ways.get(str(n.name)) is Way.STATIC and not any(str(r.name) in ways for r in n.outputs[0].consumers())
    ]
    if not ends:
        return best
    treatment = replace(best.treatment, ways={**best.treatment.ways, **dict.fromkeys(ends, Way.STATIC_FLOAT_OUT)})
    return _better(bench, best, treatment, lesson, wishes) or best


def _with_float_tail(bench: Bench, best: Trial, default: Trial, lesson: Lesson, wishes: Wishes) -> Trial:
    """Without integers in the last layers, where that takes no more time than what was to be polished."""
    treatment = with_float_tail(bench.model, best.treatment)
    better = _better(bench, best, treatment, lesson, wishes) if treatment is not None else None
    return _timed(bench, default, better, wishes) or best if better is not None else best


def _timed(bench: Bench, default: Trial, better: Trial, wishes: Wishes) -> Trial | None:
    """With its own time, if it is no slower."""
    return bench.time([better], wishes.seconds)[0] if no_slower(bench, default, better, wishes.seconds) else None


def _rounded_and_settled(bench: Bench, best: Trial, lesson: Lesson, wishes: Wishes) -> Trial:
    """With rounding learned, and with biases that make up for all errors made before them: each alone, and both where biases help."""
    plain = bench.learned
    with_biases = kept(bench, best, settled_by(bench, best, lesson), lesson, wishes)
    best = with_biases or best
    bench.learned = with_learned_rounding(bench, best.treatment, lesson.watcher)
    rounded = bench.attempt(best.treatment) if bench.learned is not plain else None
    settled = settled_by(bench, rounded, lesson) if rounded is not None and with_biases is not None else None
    for found in (rounded, settled):
        best = kept(bench, best, found, lesson, wishes) or best
    if all(found is None or best.path != found.path for found in (rounded, settled)):
        bench.learned = plain
    return best


def _better(bench: Bench, best: Trial, treatment: Treatment, lesson: Lesson, wishes: Wishes) -> Trial | None:
    """The variant made anew, by this treatment, if it comes closer and keeps what was asked for."""
    return kept(bench, best, bench.attempt(treatment), lesson, wishes)


def _with_divisions(bench: Bench, best: Trial, default: Trial, lesson: Lesson, wishes: Wishes) -> Trial:
    """With outlier channels divided where that shows most, in as much time as a race shows to be no loss."""
    if Way.STATIC in best.treatment.ways.values():  # what those round is most of the noise, and weighing took minutes for nothing
        return best
    plain = bench.learned
    held = {name: each for name, each in plain.smoothing.items() if best.treatment.smooth}
    dynamic = [n for n in bench.model.graph if best.treatment.ways.get(str(n.name)) is Way.DYNAMIC and can_be_dynamic(n)]
    spread = spread_divisions(bench.original, bench.model, dynamic, held, lesson.watcher)
    if spread is None:
        return best
    for share in SHARES if held else FIRST_SHARES:
        bench.learned = replace(plain, smoothing=spread.within(share))
        better = _better(bench, best, _smoothed(best.treatment), lesson, wishes)
        timed = _timed(bench, default, better, wishes) if better is not None else None
        if timed is not None:
            return timed
    bench.learned = plain
    return best


def _smoothed(treatment: Treatment) -> Treatment:
    return treatment if treatment.smooth else replace(treatment, name=f"{treatment.name}, smoothed", smooth=True)


def _fit_ranges(bench: Bench, treatment: Treatment, watcher: Watcher) -> Learned:
    grids = used_grids(bench.model, treatment, bench.learned)
    found = ranges_by_output(bench.original, bench.model, grids, watcher.examples, threads=watcher.threads, progress=watcher.progress)
    if not found:
        return bench.learned
    fitted = {**bench.learned.grids, **found}
    means = channel_means(bench.model, weighted_nodes(bench.model), fitted, watcher.spread(EXAMPLES_FOR_MEANS))
    return replace(bench.learned, grids=fitted, means={**bench.learned.means, **means})


def used_grids(model: ir.Model, treatment: Treatment, learned: Learned) -> dict[str, Grid]:
    """The grid of every tensor that a treatment quantizes with a known range, but those that only take over another's."""
    ways = consistent_ways(model, treatment)
    floats = {n for n, way in ways.items() if way is Way.STATIC_FLOAT_OUT}
    static = [n for g in all_graphs(model) for n in g if ways.get(str(n.name)) in (Way.STATIC, Way.STATIC_FLOAT_OUT)]
    return {name: learned.grids[name] for name in tensors_to_observe(static, floats) if name in learned.grids}


def with_learned_rounding(bench: Bench, treatment: Treatment, watcher: Watcher) -> Learned:
    """What the bench learned, and how to round every weight that the treatment holds in integers."""
    ways = consistent_ways(bench.model, treatment)
    nodes = weighted_nodes(bench.model)
    grids = used_grids(bench.model, treatment, bench.learned)
    found: dict[str, Rounded] = {}
    for chosen, divisions, computes in (
        (_those(nodes, lambda n: ways.get(n) in (Way.STATIC, Way.STATIC_FLOAT_OUT)), {}, True),
        (_those(nodes, lambda n: ways.get(n) is Way.DYNAMIC), bench.learned.smoothing if treatment.smooth else {}, True),
        (_those(nodes, lambda n: n not in ways) if treatment.compress else [], {}, False),
    ):
        if chosen:
            found |= round_weights(
                bench.model,
                chosen,
                watcher,
                grids if divisions == {} else {},
                divisions=divisions,
                rounds_inputs=computes,
                portable=treatment.portable and computes,
            )
    gates = _learned_gates(bench.model, ways, treatment, watcher)
    return replace(bench.learned, rounded=found, gates=gates) if found or gates else bench.learned


def _learned_gates(model: ir.Model, ways: Mapping[str, Way], treatment: Treatment, watcher: Watcher) -> dict[str, RoundedGates]:
    """How to round the weights of recurrent nodes, those in integers and those that are only stored so."""
    nodes = [n for g in all_graphs(model) for n in g if can_learn_gates(n)]
    computing = [n for n in nodes if ways.get(str(n.name)) is Way.DYNAMIC]
    stored = [n for n in nodes if str(n.name) not in ways and treatment.compress and all(compressible(n.inputs[i]) for i in WEIGHTS)]  # type: ignore[arg-type]
    found: dict[str, RoundedGates] = {}
    for chosen, computes in ((computing, True), (stored, False)):
        found |= round_gates(model, chosen, watcher, rounds_inputs=computes, portable=treatment.portable and computes)
    return found


def _those(nodes: list[ir.Node], wanted: Callable[[str], bool]) -> list[ir.Node]:
    return [n for n in nodes if wanted(str(n.name))]
