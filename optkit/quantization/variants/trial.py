"""Build variants, open them, and hold them against the float model: how faithful, how fast, how large."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx_ir as ir

from optkit.arrays import Array
from optkit.errors import OptkitError
from optkit.formats.onnx import model_size, save_model
from optkit.quantization.fidelity.reference import Fidelity, Reference
from optkit.quantization.graphs import all_graphs
from optkit.quantization.integer_graph.insert_recurrent import can_be_recurrent
from optkit.quantization.integer_graph.unfused import left_in_float
from optkit.quantization.operators import weight_of, weighted_nodes
from optkit.quantization.variants.build import build
from optkit.quantization.variants.known_weights import KnownWeights
from optkit.quantization.variants.learned import Learned
from optkit.quantization.variants.race import race, raced_feeds
from optkit.quantization.variants.treatment import Treatment, Way
from optkit.runtimes import Session, open_session
from optkit.stats.interval import Interval

LARGE = 1 << 30
"""Bytes of a model from which disk and memory are held for as few variants as possible."""
LONG = 2.0
"""Seconds of the process in which the original answers all examples, from which on no more are looked at than it takes."""
LOOKS = 3
"""At what ONNX Runtime leaves in float: what is given back may take what is behind it along."""
PROFILED = 2
"""Inputs of profiles, where one takes as long as another."""


@dataclass(frozen=True)
class Trial:
    """One variant as a file, and what was measured of it; `ratio` is its time over the original's."""

    treatment: Treatment
    path: Path
    size: int
    fidelity: Fidelity
    good: bool
    """Whether it keeps the accuracy that is asked for."""
    drop: float | None = None
    """Loss relative to the original's score, where a limit was set on it."""
    ratio: Interval | None = None

    @property
    def name(self) -> str:
        return self.treatment.name


@dataclass
class Bench:
    """Everything that trials of one model share."""

    original: Path
    model: ir.Model
    learned: Learned
    feeds: Sequence[Mapping[str, Array]]
    folder: Path
    device: str
    threads: int
    seed: int
    judge: Callable[[Session, Fidelity], tuple[bool, float | None]]
    """Whether a variant keeps the accuracy that is asked for, and its drop where that decides."""
    hopeless: Callable[[Fidelity], bool] | None = None
    """Of what a few examples say: whether the rest is worth a look."""
    settled: Callable[[Fidelity], bool] | None = None
    """The same of what is good beyond doubt; asked where all examples take long."""
    spare: int = 0
    """Threads that help where nothing is timed."""

    def __post_init__(self) -> None:
        self.size = model_size(self.original)
        start = time.thread_time()
        self.reference = Reference(self.model, open_session(self.original, self.device, self.workers), self.feeds)
        self._takes_long = time.thread_time() - start > LONG
        session = open_session(self.original, self.device, self.threads)
        self.raced = raced_feeds(session, self.feeds, self.device, self.threads)
        """Inputs of races."""
        self.profiled = self.feeds[:PROFILED] if self.raced.alike else self.raced.feeds
        """Inputs of profiles."""
        self.failures: dict[str, str] = {}
        self.scaled: Bench | None = None
        """The same with channels of alike range (scaled.py), where that was tried."""
        self._known = KnownWeights(self.model) if self.size <= LARGE else None
        self._count = 0
        self.outputs = {str(n.name): str(n.outputs[0].name) for n in weighted_nodes(self.model)}
        """What each layer writes."""
        self._weighted = {n.name for g in all_graphs(self.model) for n in g if weight_of(n) is not None or can_be_recurrent(n)}

    @property
    def workers(self) -> int:
        """Threads of sessions that are not timed."""
        return self.threads + self.spare

    def of(self, trial: Trial) -> "Bench":
        """The bench whose graph a trial was made from: this one, or the one with scaled channels."""
        return self.scaled if self.scaled is not None and trial.path.parent == self.scaled.folder else self

    def is_weighted(self, name: str) -> bool:
        """Whether the node of that name has a weight (others only pass values on)."""
        return name in self._weighted

    def layers(self, names: Collection[str]) -> list[ir.Node]:
        """Those of the nodes of these names that have a weight, in order."""
        return [n for g in all_graphs(self.model) for n in g if str(n.name) in names and self.is_weighted(str(n.name))]

    def write(self, treatment: Treatment) -> Path:
        """The variant as a file in the bench's folder."""
        self._count += 1
        path = self.folder / f"{self._count}.onnx"
        save_model(build(self.model, treatment, self.learned, self._known), path)
        return path

    def as_float(self) -> Path:
        """The float graph that variants are made from, as a file: its nodes are called, and take, what they do in a variant."""
        path = self.folder / "float.onnx"
        if self.size > LARGE:
            return self.original
        if not path.exists():
            save_model(self.model, path)
        return path

    def attempt(self, treatment: Treatment) -> Trial | None:
        """Build, open and compare a variant; None (with the reason kept) when ONNX Runtime refuses it or its answers are broken."""
        try:
            return self.hold(*self._fused(treatment))
        except OptkitError as error:
            self.failures[treatment.name] = error.what
            return None

    def hold(self, treatment: Treatment, path: Path, session: Session | None = None) -> Trial | None:
        """Open and compare a file made of a treatment; None, with the reason kept, when its answers are broken. Raises if it is refused.

        `session` is one that has it open already.
        """
        session = session or open_session(path, self.device, self.workers)
        fidelity = self.reference.compare(session, told=self._is_told)
        if not fidelity.finite or not fidelity.varies:
            self.failures[treatment.name] = (
                "its outputs are not finite" if not fidelity.finite else "its outputs do not depend on the input"
            )
            return None
        good, drop = self.judge(session, fidelity)
        return Trial(treatment, path, model_size(path), fidelity, good, drop)

    def _is_told(self, fidelity: Fidelity) -> bool:
        """Whether a few examples say enough of a variant."""
        rules = (self.hopeless, self.settled if self._takes_long else None)
        return any(rule(fidelity) for rule in rules if rule is not None)

    def _fused(self, treatment: Treatment) -> tuple[Treatment, Path, Session | None]:
        """The treatment without the nodes that ONNX Runtime would leave in float all the same, its file, and a session if that is open."""
        path, opened = self.write(treatment), list[Session]()
        for _ in range(LOOKS if self.device == "cpu" and self.size < LARGE else 0):
            static = {n for n, way in treatment.ways.items() if way is Way.STATIC}
            left = left_in_float(self.model, static, path, self.workers, opened.append) if static else set()
            if not left:
                break
            opened.clear()
            treatment = replace(treatment.without(left), given_back=treatment.given_back | left)
            path.unlink()
            path = self.write(treatment)
        return treatment, path, opened[0] if opened else None

    def time(self, trials: Sequence[Trial], seconds: float) -> list[Trial]:
        """The same trials with their time ratios, all raced against the original in one measurement.

        Of a large model each is raced alone against the original, so that no more than two are open at a time.
        """
        heats = [[t] for t in trials] if self.size > LARGE else [list(trials)]
        return [timed for heat in heats if heat for timed in self._heat(heat, seconds / len(heats))]

    def _heat(self, trials: Sequence[Trial], seconds: float) -> list[Trial]:
        there = [t for t in trials if t.path.exists()]  # of those that are gone the time is known
        if not there:
            return list(trials)
        models = [self.original, *(t.path for t in there)]
        found = race(models, self.raced, seconds=seconds, threads=self.threads, device=self.device, seed=self.seed)
        ratios = iter(found[1:])
        return [replace(t, ratio=next(ratios)) if t.path.exists() else t for t in trials]

    def drop_files(self, trials: Sequence[Trial], kept: Sequence[Trial]) -> None:
        """Of a large model delete the files of variants that are not `kept`."""
        if self.size > LARGE:
            paths = {t.path for t in kept}
            for path in (t.path for t in trials if t.path not in paths):
                for file in (path, path.with_name(f"{path.name}.data")):
                    file.unlink(missing_ok=True)
