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
from optkit.layers import SILENT, Layer, LayerComparison
from optkit.layers.cut import NEW, SWITCH, cut_at, with_replacements
from optkit.layers.excluding import Excluding
from optkit.layers.matching import Pair, match_tensors
from optkit.layers.sums import Noise
from optkit.layers.tensors import Graph, scores_behind
from optkit.layers.watch import FLOATS, Seen, Values, Watched, feeds, in_groups, open_graph
from optkit.measure.feeds import fitted
from optkit.progress import Progress
from optkit.quantization.fidelity.reference import decibels
from optkit.quantization.recognise import already_quantized, half_precision
from optkit.runtimes import Session

TRIED = 256
"""Layers with the most noise of their own, whose effect on the outputs is measured."""
RUNS = 1024
"""Of the first model for that: the fewer layers, the more examples."""
ENOUGH = 16
"""Examples for that."""


INSIDE = "inside branches and loops, which are not looked into"


class Walker:
    """The first model, read once for all others."""

    def __init__(self, before: Artifact, examples: Examples, threads: int, progress: Progress) -> None:
        self.artifact, self.examples, self.threads, self.progress = before, examples, threads, progress
        self.graph = Graph(load_model(before.path))
        self.watched = Watched(self.graph.model, before.path, examples, threads)
        self.seen = self.watched.survey(list(self.graph.computed))

    def compare(self, after: Artifact, names: tuple[str, str]) -> LayerComparison:
        """This model and another, named as tables name them."""
        other = Graph(load_model(after.path))
        watched = Watched(other.model, after.path, self.examples, self.threads)
        seen = watched.survey(list(other.computed))
        outputs = {str(v.name) for v in self.graph.model.graph.outputs}
        pairs, why = match_tensors(self.seen, other, seen, outputs)
        if not pairs:
            what = f"it has no tensor in common with {names[0]}: neither names nor values are alike"
            raise ModelError(what, where=str(after.path), hint="compare models that were made of each other; without --layers, any two")
        run = _Run(self, watched, seen, pairs)
        so_far, own = run.noise()
        effects = run.effects(sorted(own, key=lambda name: -own[name].ratio)[:TRIED], own)
        precision = _precision(other.model, self.graph.model)
        excluding = Excluding(self.graph.model, {pair.before for pair in pairs}) if precision == "int8" else None
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
                    exclude=excluding.patterns(pair.before, there) if excluding is not None else (),
                )
            )
        data = "" if self.examples.synthetic else self.examples.source
        skipped = dict(Counter(why.values()))
        if self.graph.nested:
            skipped[INSIDE] = self.graph.nested
        ends = {str(v.name) for v in (*map(scores_behind, self.graph.model.graph.outputs), *self.graph.model.graph.outputs)}
        probabilities = {
            str(v.name) for v in self.graph.model.graph.outputs if scores_behind(v) is not v and scores_behind(v).name in so_far
        }
        answers = min((so_far[name].sqnr for name in ends - probabilities if name in so_far), default=min(n.sqnr for n in so_far.values()))
        return LayerComparison(*names, str(self.artifact.path), data, len(self.examples), precision, tuple(layers), answers, skipped)


class _Run:
    """Two models whose tensors are matched."""

    def __init__(self, first: Walker, second: Watched, seen: Mapping[str, Seen], pairs: Sequence[Pair]) -> None:
        self.first, self.second, self.seen = first, second, seen
        self.pairs = {pair.before: pair for pair in pairs}

    def noise(self) -> tuple[dict[str, Noise], dict[str, Noise]]:
        """With all that came before, and alone, by the first model's names; a group of tensors at a time."""
        so_far: dict[str, Noise] = defaultdict(Noise)
        own: dict[str, Noise] = defaultdict(Noise)
        fed = self._fed()
        groups = list(in_groups(list(self.pairs), self.first.seen, fed))
        total, done = len(groups) * len(self.first.examples), 0
        for group in groups:
            after = self.second.open([self.pairs[name].after for name in group])
            alone = self._cut(group)
            needed = list(dict.fromkeys([*group, *alone.fed.values()]))
            before = self.first.watched.open(needed)
            for feed, other in zip(feeds(self.first.examples, before), feeds(self.first.examples, after), strict=True):
                truth = before.run(fitted(feed, before.inputs), needed)
                got = after.run(fitted(other, after.inputs), [self.pairs[name].after for name in group])
                parts = alone.run(other, truth)
                for name in group:
                    so_far[name].add(truth[name], got[self.pairs[name].after])
                    own[name].add(truth[name], parts[name])
                done += 1
                self.first.progress("comparing layers", min(done, total), total)
        return so_far, own

    def effects(self, names: Sequence[str], own: Mapping[str, Noise]) -> dict[str, float]:
        """dB of the worst output when only one layer is as in the second model, by the first model's names."""
        found: dict[str, dict[str, Noise]] = {name: defaultdict(Noise) for name in names if own[name].sqnr < SILENT}
        tried = [name for name in self.pairs if name in found and np.isfinite(own[name].ratio)]
        if tried:
            model, outputs = with_replacements(self.first.graph.model, tried, self.first.seen)
            session = open_graph(model, self.first.threads, self.first.artifact.path, optimize=True)
            examples = self.first.examples.spread(max(1, min(RUNS // len(tried), ENOUGH)))
            for group in in_groups(tried, self.first.seen, self._fed()):
                self._change(session, outputs, group, examples, found)
        return {name: decibels(max((n.ratio for n in found[name].values()), default=np.inf)) for name in found}

    def _change(
        self, session: Session, outputs: Mapping[str, bool], group: Sequence[str], examples: Examples, found: dict[str, dict[str, Noise]]
    ) -> None:
        alone = self._cut(group)
        needed = list(dict.fromkeys([*group, *alone.fed.values()]))
        before = self.first.watched.open(needed)
        ports = {port.name: port.dtype for port in session.outputs}
        floats = [name for name in outputs if ports[name] in FLOATS]
        for feed in feeds(examples, before):
            truth = before.run(fitted(feed, before.inputs), needed)
            parts = alone.run(feed, truth)
            unchanged = session.run(fitted(feed, before.inputs), floats)
            for done, name in enumerate(group):
                given = {f"{SWITCH}{name}": np.array(True), f"{NEW}{name}": parts[name].astype(truth[name].dtype)}
                answers = session.run({**fitted(feed, before.inputs), **given}, floats)
                for output in floats:
                    found[name][output].add(*(_centred(each[output], outputs[output]) for each in (unchanged, answers)))
                self.first.progress("layers alone", done + 1, len(group))

    def _cut(self, group: Sequence[str]) -> "_Alone":
        return _Alone(self, group)

    def _fed(self) -> dict[str, list[str]]:
        """What the first model computes each tensor from directly: near enough to what a cut needs."""
        found = {}
        for name in self.pairs:
            node = self.first.graph.computed[name].producer()
            found[name] = [str(v.name) for v in (node.inputs if node is not None else ()) if v is not None]
        return found


def _centred(scores: Array, relative: bool) -> Array:
    """Scores of a softmax say the same when all are raised alike."""
    return scores - scores.mean(axis=-1, keepdims=True) if relative and scores.ndim else scores


class _Alone:
    """Layers of the second model, each fed with the first model's values."""

    def __init__(self, run: _Run, group: Sequence[str]) -> None:
        self.after = {name: run.pairs[name].after for name in group}
        model, self.fed = cut_at(run.second.model, run.pairs.values(), run.seen, list(self.after.values()))
        self.session = open_graph(model, run.second.threads, run.second.where)
        self.types = {port.name: port.dtype for port in self.session.inputs}

    def run(self, feed: Mapping[str, Array], truth: Mapping[str, Array]) -> Values:
        """The layers' values, by the first model's names."""
        with np.errstate(over="ignore"):
            given = {port: truth[name].astype(self.types[port]) for port, name in self.fed.items()}
        feed = {name: value for name, value in feed.items() if name in self.types}
        answers = self.session.run({**fitted(feed, self.session.inputs), **given}, list(self.after.values()))
        return {name: answers[after] for name, after in self.after.items()}


def _precision(after: ir.Model, before: ir.Model) -> Literal["", "int8", "fp16"]:
    if already_quantized(after) and not already_quantized(before):
        return "int8"
    return "fp16" if half_precision(after) and not half_precision(before) else ""
