"""Walk both models over the same examples: noise so far, noise of each layer alone, and what it does to the outputs."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.artifact import Artifact
from optkit.datasets import Examples
from optkit.errors import ModelError
from optkit.formats.onnx import load_model
from optkit.layers import Layer, LayerComparison
from optkit.layers.cut import cut_at
from optkit.layers.effects import Effects
from optkit.layers.excluding import Excluding
from optkit.layers.laid_out import laid_out
from optkit.layers.loops import in_the_body
from optkit.layers.matching import Pair, match_tensors
from optkit.layers.sums import Noise
from optkit.layers.tensors import Graph, scores_behind
from optkit.layers.unfold import unfold
from optkit.layers.watch import Seen, Values, Watched, feeds, in_groups, open_graph
from optkit.measure.feeds import fitted
from optkit.progress import Progress
from optkit.quantization.recognise import already_quantized, half_precision

SECONDS = 8.0
"""Of computing, for the noise of layers and again for their effects: slow models are looked at with fewer examples."""
WORK = 2.0
"""Times the running of both models, that a group of tensors takes: one is run in parts besides, and differences are summed."""

BESIDE = "inside branches that these examples do not take"
INSIDE = "inside later rounds of loops, or branches that examples take by turns, which are not looked into"


class Walker:
    """The first model, read once for all others."""

    def __init__(self, before: Artifact, examples: Examples, threads: int, progress: Progress) -> None:
        self.artifact, self.threads, self.progress = before, threads, progress
        self.unfolded = unfold(load_model(before.path), before.path, examples, threads)
        self.graph, self.examples = Graph(self.unfolded.model), self.unfolded.examples
        self.watched = Watched(self.graph.model, before.path, self.examples, threads)
        self.seen = self.watched.survey(list(self.graph.computed))

    def compare(self, after: Artifact, names: tuple[str, str]) -> LayerComparison:
        """This model and another, named as tables name them."""
        other = Graph(unfold(load_model(after.path), after.path, self.examples, self.threads, fewer=False).model)
        watched = Watched(other.model, after.path, self.examples, self.threads)
        seen = watched.survey(list(other.computed))
        outputs = {str(v.name) for v in self.graph.model.graph.outputs}
        pairs, why = match_tensors(self.seen, other, seen, outputs)
        if not pairs:
            what = f"it has no tensor in common with {names[0]}: neither names nor values are alike"
            raise ModelError(what, where=str(after.path), hint="compare models that were made of each other; without --layers, any two")
        run = Run(self, watched, seen, pairs)
        so_far, own = run.noise()
        effects = Effects(run, own, SECONDS).measured()
        precision = _precision(other.model, self.graph.model)
        excluding = Excluding(load_model(self.artifact.path), {in_the_body(pair.before) for pair in pairs}) if precision == "int8" else None
        layers = []
        for pair in pairs:
            node, there = self.graph.computed[pair.before].producer(), other.computed[pair.after]
            assert node is not None
            layers.append(
                Layer(
                    tensor=pair.before,
                    node=(node.name or "") if node.outputs[0].name == pair.before else "",
                    operator=node.op_type,
                    after=pair.after,
                    matched=pair.matched,
                    sqnr=so_far[pair.before].sqnr,
                    own=own[pair.before].sqnr,
                    effect=effects.get(pair.before),
                    exclude=excluding.patterns(in_the_body(pair.before), there) if excluding is not None else (),
                )
            )
        data = "" if self.examples.synthetic else self.examples.source
        nested = {BESIDE: self.unfolded.beside, INSIDE: self.graph.nested}
        skipped = {**Counter(why.values()), **{reason: count for reason, count in nested.items() if count}}
        ends = {str(v.name) for v in (*map(scores_behind, self.graph.model.graph.outputs), *self.graph.model.graph.outputs)}
        probabilities = {
            str(v.name) for v in self.graph.model.graph.outputs if scores_behind(v) is not v and scores_behind(v).name in so_far
        }
        answers = min((so_far[name].sqnr for name in ends - probabilities if name in so_far), default=min(n.sqnr for n in so_far.values()))
        return LayerComparison(*names, str(self.artifact.path), data, len(run.examples), precision, tuple(layers), answers, skipped)


class Run:
    """Two models whose tensors are matched."""

    def __init__(self, first: Walker, second: Watched, seen: Mapping[str, Seen], pairs: Sequence[Pair]) -> None:
        self.first, self.second, self.seen = first, second, seen
        self.pairs = {pair.before: pair for pair in pairs}
        self._groups = list(in_groups(list(self.pairs), first.seen, self.fed()))
        each = WORK * len(self._groups) * (first.watched.seconds + second.seconds)
        self.examples = first.examples.spread(fewer(len(first.examples), SECONDS, each))

    def noise(self) -> tuple[dict[str, Noise], dict[str, Noise]]:
        """With all that came before, and alone, by the first model's names; a group of tensors at a time."""
        so_far: dict[str, Noise] = defaultdict(Noise)
        own: dict[str, Noise] = defaultdict(Noise)
        total, done = len(self._groups) * len(self.examples), 0
        for group in self._groups:
            after = self.second.open([self.pairs[name].after for name in group])
            alone = self.cut(group)
            needed = list(dict.fromkeys([*group, *alone.fed.values()]))
            before = self.first.watched.open(needed)
            for feed, other in zip(feeds(self.examples, before), feeds(self.examples, after), strict=True):
                truth = before.run(fitted(feed, before.inputs), needed)
                got = after.run(fitted(other, after.inputs), [self.pairs[name].after for name in group])
                parts = alone.run(other, truth)
                for name in group:
                    so_far[name].add(truth[name], laid_out(got[self.pairs[name].after], truth[name].shape))
                    own[name].add(truth[name], parts[name])
                done += 1
                self.first.progress("comparing layers", min(done, total), total)
        return so_far, own

    def cut(self, group: Sequence[str]) -> "_Alone":
        """A group of layers of the second model, each fed with the first model's values."""
        return _Alone(self, group)

    def fed(self) -> dict[str, list[str]]:
        """What the first model computes each tensor from directly: near enough to what a cut needs."""
        found = {}
        for name in self.pairs:
            node = self.first.graph.computed[name].producer()
            found[name] = [str(v.name) for v in (node.inputs if node is not None else ()) if v is not None]
        return found


def fewer(most: int, seconds: float, each: float) -> int:
    """A half, a quarter, … of the examples, so that they take no more than `seconds`; one at least.

    Halves, so that the same model is looked at with as many the next time.
    """
    while most > 1 and most * each > seconds:
        most = (most + 1) // 2
    return most


class _Alone:
    """Layers of the second model, each fed with the first model's values."""

    def __init__(self, run: Run, group: Sequence[str]) -> None:
        self.after = {name: run.pairs[name].after for name in group}
        model, self.fed = cut_at(run.second.model, run.pairs.values(), run.seen, list(self.after.values()))
        self.session = open_graph(model, run.second.threads, run.second.where)
        self.types = {port.name: port.dtype for port in self.session.inputs}
        self.shapes = {port: run.seen[run.pairs[name].after].shape for port, name in self.fed.items()}

    def run(self, feed: Mapping[str, Array], truth: Mapping[str, Array]) -> Values:
        """The layers' values, by the first model's names."""
        with np.errstate(over="ignore"):
            given = {port: laid_out(truth[name], self.shapes[port]).astype(self.types[port]) for port, name in self.fed.items()}
        feed = {name: value for name, value in feed.items() if name in self.types}
        answers = self.session.run({**fitted(feed, self.session.inputs), **given}, list(self.after.values()))
        return {name: laid_out(answers[after], truth[name].shape) for name, after in self.after.items()}


def _precision(after: ir.Model, before: ir.Model) -> Literal["", "int8", "fp16"]:
    if already_quantized(after) and not already_quantized(before):
        return "int8"
    return "fp16" if half_precision(after) and not half_precision(before) else ""
