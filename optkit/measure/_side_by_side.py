"""The order of a measurement: for each device the answers; for each batch size the timing and the cold starts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import TypeVar

from optkit.arrays import Array
from optkit.artifact import Artifact
from optkit.datasets import Examples
from optkit.errors import DataError, UsageError
from optkit.formats import compressed_size, model_size
from optkit.formats.onnx import load_model
from optkit.measure import NOTHING_TIMED, Conditions, Measurement, Settings, as_interrupted, detect_machine, metrics_of, was_interrupted
from optkit.measure._answers import score_all
from optkit.measure._enough import Wish, enough
from optkit.measure._fresh import cold_starts
from optkit.measure.feeds import check_batch, fitted, typical_feeds
from optkit.measure.names import distinguishing_names
from optkit.measure.watch import Watch
from optkit.meters import Fresh, Meter, Readings
from optkit.metrics import Metric
from optkit.progress import Progress
from optkit.registry import load, members
from optkit.runtimes import Port, open_session
from optkit.samples import Samples
from optkit.timing.clocks import Clock
from optkit.timing.cpu_time import CpuTime
from optkit.timing.lanes import Here, Lane, opener
from optkit.timing.own_process import OwnProcess
from optkit.timing.rounds import time_rounds
from optkit.timing.typical import Typical

COLD_SHARE = 0.5
"""Of the time given for timing, spent on cold starts besides."""
T = TypeVar("T")
_Timing = tuple[list[list[Array]], list[list[float]], Conditions | None]
"""Seconds of queries and CPU seconds of each round of each model, and what else went on."""


def measure_all(models: Sequence[Artifact], examples: Examples, settings: Settings, progress: Progress) -> tuple[Measurement, ...]:
    """See `optkit.measure.measure`."""
    if not models:
        raise UsageError("there is no model to measure")
    if len(examples) == 0:
        raise DataError("it holds no examples", where=examples.source)
    metrics = metrics_of(settings)
    words = members("meters") if settings.meters is None else settings.meters
    meters: list[Meter] = [load("meters", word)() for word in words]
    found: list[Measurement] = []
    for device in dict.fromkeys(settings.devices):
        try:
            found += list(_OnDevice(device, models, examples, settings, progress).measure(metrics, meters, first=not found))
        except KeyboardInterrupt:  # nothing is known of this device yet
            if not found:
                raise
            return as_interrupted(found)
        if was_interrupted(found):
            break
    return tuple(found)


class _OnDevice:
    """All models on one device."""

    def __init__(self, device: str, models: Sequence[Artifact], examples: Examples, settings: Settings, progress: Progress) -> None:
        self.device = device
        self.models = models
        self.names = distinguishing_names([model.path for model in models])
        self.examples = examples
        self.settings = settings
        self.progress = progress
        self.inputs: list[Sequence[Port]] = []
        self.interrupted = False
        self.unscored = 0
        self.timed: dict[int, Typical] = {}
        """What is timed, by batch size."""

    def measure(self, metrics: Sequence[Metric] | None, meters: Sequence[Meter], *, first: bool) -> Iterator[Measurement]:
        """The measurements of all batch sizes; `first` when no device came before."""
        machine = detect_machine()
        answers, nodes = self._answer(metrics)
        for number, (threads, batch) in enumerate(product(*map(dict.fromkeys, (self.settings.threads, self.settings.batches)))):
            due = [meter for meter in meters if _is_due(meter, number == 0, first and number == 0)]
            read, conditions = self._read(batch, threads, due)
            for model, name, scored, metered, placed in zip(self.models, self.names, answers, read, nodes, strict=True):
                samples = (*(scored if number == 0 else ()), *metered)
                yield Measurement(model, name, self.device, batch, threads, machine, samples, placed, conditions)
            if self.interrupted:
                return

    def _answer(self, metrics: Sequence[Metric] | None) -> tuple[list[tuple[Samples, ...]], list[dict[str, int]]]:
        """The scores of every model, and where its nodes run."""
        settings = self.settings
        sessions = [open_session(model.path, self.device, settings.threads[0]) for model in self.models]
        self.inputs = [session.inputs for session in sessions]
        for batch in settings.batches:
            for session, name in zip(sessions, self.names, strict=True):
                check_batch(batch, self.examples, session, name)
        outputs = load_model(self.models[0].path).graph.outputs if self.models[0].format == "onnx" else ()
        scored = score_all(
            sessions,
            self.names,
            self.examples,
            metrics,
            settings.batches[0],
            settings.output,
            self._told(""),
            outputs=outputs,
            interrupted=self._leave,
        )
        # a model that computes in the thread that asks is known by that thread's time, whatever else the machine does
        clock: Clock = "thread" if self.device == "cpu" and settings.threads[0] == 1 and self.models[0].format == "onnx" else "wall"
        self.timed = self._unless_interrupted(
            lambda: {batch: typical_feeds(sessions[0], self.examples, batch, settings.seconds, clock) for batch in settings.batches}, {}
        )
        return scored, [session.placement() for session in sessions]

    def _read(self, batch: int, threads: int, meters: Sequence[Meter]) -> tuple[list[list[Samples]], Conditions | None]:
        """What the meters read, per model, and under which conditions; nothing is run that none of them needs."""
        wanted, settings = {meter.needs for meter in meters}, self.settings
        told = self._told(f", batch {batch}" + (f", {threads} threads" if len(settings.threads) > 1 else ""))
        timing: _Timing = [[] for _ in self.models], [[] for _ in self.models], None
        fresh: list[list[Fresh]] = [[] for _ in self.models]
        if "rounds" in wanted:
            timing = self._unless_interrupted(lambda: self._time(self.timed[batch], threads, told), timing)
        if "fresh" in wanted:
            fresh = self._unless_interrupted(lambda: self._start(self.timed[batch], threads, told), fresh)
        packed: list[int | None] = [None for _ in self.models]
        if "file" in wanted:  # what packs gigabytes takes a while
            packed = self._unless_interrupted(lambda: [compressed_size(each.path) for each in self.models], packed)
        rounds, cpu, conditions = timing
        readings = [
            Readings(batch, model_size(model.path), small, spent, times, starts)
            for model, small, spent, times, starts in zip(self.models, packed, cpu, rounds, fresh, strict=True)
        ]
        if conditions is not None:
            conditions = replace(conditions, mixed=not self.timed[batch].alike)
        if self.interrupted:
            conditions = replace(conditions or NOTHING_TIMED, interrupted=True, unscored=self.unscored)
        return [[found for meter in meters if (found := meter.read(each)) is not None] for each in readings], conditions

    def _interrupt(self) -> None:
        self.interrupted = True

    def _leave(self, unscored: int) -> None:
        self.interrupted, self.unscored = True, unscored

    def _unless_interrupted(self, work: Callable[[], T], otherwise: T) -> T:
        """What `work` comes to; `otherwise` where Ctrl-C ends it, or ended what was before it."""
        if self.interrupted:
            return otherwise
        try:
            return work()
        except KeyboardInterrupt:
            self.interrupted = True
            return otherwise

    def _start(self, timed: Typical, threads: int, told: Progress) -> list[list[Fresh]]:
        paths, first = [model.path for model in self.models], [fitted(timed.feeds[0], ports) for ports in self.inputs]
        seconds = self.settings.seconds * COLD_SHARE
        return cold_starts(paths, first, self.device, threads, seconds, told, self._interrupt)

    def _time(self, timed: Typical, threads: int, told: Progress) -> _Timing:
        settings = self.settings
        lanes: list[Lane] = [self._lane(i, timed, threads) for i in range(len(self.models))]
        for lane in lanes:
            if isinstance(lane, OwnProcess):
                lane.get_ready()
        watch = Watch(lambda: [lane.number for lane in lanes if isinstance(lane, OwnProcess)])

        def progress(what: str, done: int, total: int) -> None:
            watch.look()
            told(what, done, total)

        wish = Wish(settings.precision, None if settings.least_speedup is None else 1 / settings.least_speedup)
        stop = enough(wish, settings.seed, lambda: lanes[0].openings, mixed=not timed.alike)
        cpu = CpuTime(lanes, progress)
        times = time_rounds(
            lanes,
            seconds=settings.seconds,
            seed=settings.seed,
            whole_laps=not timed.alike,
            enough=stop,
            progress=cpu,
            interrupted=self._interrupt,
        )
        found = watch.found(len(times[0]), lanes[0].openings)
        settled = stop is not None and not self.interrupted and found.seconds < settings.seconds
        return times, cpu.per_query(times), replace(found, settled=settled)

    def _lane(self, number: int, timed: Typical, threads: int) -> Lane:
        """A model of its own process where others in this one would disturb it."""
        model, settings = self.models[number], self.settings
        apart = settings.own_process
        if apart is None:  # two sessions of one runtime share its threads in peace; PyTorch's keep cores that the runtime's need
            apart = any(each.format == "torch" for each in self.models)
        wanted = [fitted(feed, self.inputs[number]) for feed in timed.feeds]
        # where a model computes in the thread that asks, what the system gave to other programs meanwhile can be told from its time
        clock: Clock = "undisturbed" if self.device == "cpu" and threads == 1 else "wall"
        if apart:
            return OwnProcess(model.path, wanted, self.device, threads, clock, all_feeds=not timed.alike)
        return Here(opener(lambda: open_session(model.path, self.device, threads), wanted, all_feeds=not timed.alike), clock)

    def _told(self, which: str) -> Progress:
        return lambda what, done, total: self.progress(f"{what} on {self.device}{which}", done, total)


def _is_due(meter: Meter, first_of_device: bool, first_of_all: bool) -> bool:
    return {"batch": True, "device": first_of_device, "model": first_of_all}[meter.depends_on]
