"""What each layer does to the outputs by itself: the first model, in which one tensor after the other is as in the second."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from optkit.arrays import Array
from optkit.datasets import Examples
from optkit.layers import SILENT
from optkit.layers.cut import NEW, SWITCH, with_replacements
from optkit.layers.sums import Noise
from optkit.layers.watch import FLOATS, feeds, in_groups, open_graph
from optkit.measure.feeds import fitted
from optkit.quantization.fidelity.reference import decibels
from optkit.runtimes import Session

if TYPE_CHECKING:
    from optkit.layers.walk import Run

TRIED = 256
"""Layers with the most noise of their own, which are tried."""
AT_LEAST = 16
"""Of them, however slow the model."""
RUNS = 1024
"""Of the first model: the fewer layers, the more examples."""
MOST_OF_IT = 0.95
"""Of the noise at the outputs: the layers that make it are looked at with what is left of the runs."""

ByOutput = dict[str, Noise]


class Effects:
    """All layers on a few examples, or one; then those that matter on more."""

    def __init__(self, run: "Run", own: Mapping[str, Noise], seconds: float) -> None:
        self.run, self.own = run, own
        noisiest = sorted(own, key=lambda name: -own[name].ratio)[:TRIED]
        self.heard = [name for name in noisiest if own[name].sqnr < SILENT]
        finite = [name for name in self.heard if np.isfinite(own[name].ratio)]
        if not finite:
            self.tried: list[str] = []
            return
        first = run.first
        model, self.outputs = with_replacements(first.graph.model, finite, first.seen)
        self.session = open_graph(model, first.threads, first.artifact.path, optimize=True)
        self.runs = min(RUNS, max(AT_LEAST, int(seconds / self._one_run())))
        chosen = set(finite[: self.runs])
        self.tried = [name for name in run.pairs if name in chosen]

    def measured(self) -> dict[str, float]:
        """dB of the worst output when only one layer is as in the second model, by the first model's names.

        Only of layers whose own noise can be heard, and of those that were tried; what is not finite has no runs and is `-inf`.
        """
        found = {name: np.inf for name in self.heard if not np.isfinite(self.own[name].ratio)}
        if self.tried:
            most = len(self.run.examples)
            count = min(most, max(1, self.runs // len(self.tried) // 2))
            found |= self._noise(self.tried, count)
            matter = _loudest({name: found[name] for name in self.tried})
            left = (self.runs - count * len(self.tried)) // max(len(matter), 1)
            if min(left, most) > count:
                found |= self._noise([name for name in self.tried if name in matter], min(left, most))
        return {name: decibels(noise) for name, noise in found.items()}

    def _one_run(self) -> float:
        """Seconds that an inference computes."""
        first = self.run.first
        feed = fitted(next(iter(feeds(first.examples.take(np.array([0])), self.session))), self.session.inputs)
        self.session.run(feed)
        start = time.process_time()
        self.session.run(feed)
        return max((time.process_time() - start) / first.threads, 1e-6)

    def _noise(self, names: Sequence[str], count: int) -> dict[str, float]:
        """Noise over signal of the worst output, by layer."""
        found: dict[str, ByOutput] = {name: defaultdict(Noise) for name in names}
        groups = list(in_groups(names, self.run.first.seen, self.run.fed()))
        for group in groups:
            self._change(group, self.run.examples.spread(count), found)
        return {name: max((n.ratio for n in found[name].values()), default=np.inf) for name in names}

    def _change(self, group: Sequence[str], examples: Examples, found: dict[str, ByOutput]) -> None:
        first, alone = self.run.first, self.run.cut(group)
        needed = list(dict.fromkeys([*group, *alone.fed.values()]))
        before = first.watched.open(needed)
        floats = _floats(self.session, self.outputs)
        for feed in feeds(examples, before):
            truth = before.run(fitted(feed, before.inputs), needed)
            parts = alone.run(feed, truth)
            unchanged = self.session.run(fitted(feed, before.inputs), floats)
            for done, name in enumerate(group):
                given = {f"{SWITCH}{name}": np.array(True), f"{NEW}{name}": parts[name].astype(truth[name].dtype)}
                answers = self.session.run({**fitted(feed, before.inputs), **given}, floats)
                for output in floats:
                    found[name][output].add(*(_centred(each[output], self.outputs[output]) for each in (unchanged, answers)))
                first.progress("layers alone", done + 1, len(group))


def _loudest(noise: Mapping[str, float]) -> set[str]:
    """The fewest layers that make most of the noise."""
    total, so_far, found = sum(noise.values()), 0.0, set()
    for name in sorted(noise, key=lambda each: -noise[each]):
        if so_far >= MOST_OF_IT * total or not np.isfinite(total):
            break
        found.add(name)
        so_far += noise[name]
    return found


def _floats(session: Session, outputs: Mapping[str, bool]) -> list[str]:
    ports = {port.name: port.dtype for port in session.outputs}
    return [name for name in outputs if ports[name] in FLOATS]


def _centred(scores: Array, relative: bool) -> Array:
    """Scores of a softmax say the same when all are raised alike."""
    return scores - scores.mean(axis=-1, keepdims=True) if relative and scores.ndim else scores
