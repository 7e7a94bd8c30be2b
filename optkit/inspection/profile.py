"""Where time goes, by operator, from ONNX Runtime's own record of several runs."""

import json
import re
import statistics
import tempfile
import time
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any

from optkit.datasets import Examples
from optkit.datasets.synthetic import synthetic
from optkit.inspection import NodeTime, OperatorTime, Profile
from optkit.runtimes import Port
from optkit.runtimes.onnxruntime import OnnxSession, open_onnx

Event = Mapping[str, Any]

ENOUGH_SECONDS, FEWEST, MOST = 2.0, 5, 200
"""Run for so long, but so often at least and at most: the record of a run of a large model has thousands of lines."""
WARM_UP = 2
"""First runs allocate memory and are slower."""
SLOWEST = 40
"""Nodes that a profile names, where not all of them are asked for."""
KERNEL = "_kernel_time"


def profile_model(
    path: Path,
    examples: Examples,
    device: str = "cpu",
    threads: int = 1,
    most: float = inf,
    *,
    fastest: bool = False,
    named: int | None = SLOWEST,
    interrupted: Callable[[], None] | None = None,
) -> Profile:
    """Run `examples` one at a time, over and over, for two seconds or `most`, and add up the time of each operator.

    With `fastest` only the fastest quarter of the runs counts, which nothing else on the machine disturbed. `named` is how many nodes
    are named, the slowest of them (None: all). Ctrl-C ends it with the runs by then, if there are any besides those that warm up, where
    somebody wants to hear of it by `interrupted`.

    Raises ModelError and UsageError as opening a model does, DataError when the examples do not fit.
    """
    feeds = list(examples.take(slice(0, MOST)).feeds(1))
    with tempfile.TemporaryDirectory(prefix="optkit-") as folder:
        session, plain = open_onnx(path, device, threads, profile=Path(folder) / "profile"), open_onnx(path, device, threads)
        shares: list[float] = []
        count, stop = 0, time.perf_counter() + min(ENOUGH_SECONDS, most)
        try:
            while count < WARM_UP + FEWEST or (time.perf_counter() < stop and count < WARM_UP + MOST):
                feed = feeds[count % len(feeds)]
                recorded, unrecorded = (_seconds(each, feed) for each in (session, plain))
                shares.append(unrecorded / recorded)
                count += 1
        except KeyboardInterrupt:
            if interrupted is None or count <= WARM_UP:
                raise
            interrupted()
        events = json.loads(session.end_profile().read_text(encoding="utf-8"))
    data = "made-up inputs" if examples.synthetic else examples.source
    found = read_profile(events, device, threads, data, fastest=fastest, named=named)
    return replace(found, unrecorded=found.seconds * min(1.0, statistics.median(shares[WARM_UP:])))


def _seconds(session: OnnxSession, feed: Mapping[str, Any]) -> float:
    start = time.perf_counter()
    session.run(feed)
    return time.perf_counter() - start


def made_up_examples(inputs: Sequence[Port], sizes: Mapping[str, tuple[int, ...]], count: int = 8) -> Examples:
    """Examples of exactly these sizes."""
    return synthetic([Port(port.name, port.dtype, sizes[port.name]) for port in inputs], count)


def read_profile(
    events: Sequence[Event], device: str, threads: int, data: str, *, fastest: bool = False, named: int | None = SLOWEST
) -> Profile:
    """A profile out of ONNX Runtime's events (Chrome trace format, times in microseconds)."""
    runs = sorted((_Span.of(e) for e in events if e.get("cat") == "Session" and e.get("name") == "model_run"), key=lambda s: s.start)
    runs = runs[WARM_UP:] or runs
    if fastest:
        kept = sorted(runs, key=lambda run: run.length)[: max(FEWEST, len(runs) // 4)]
        runs = sorted(kept, key=lambda run: run.start)
    kernels = [e for e in events if e.get("cat") == "Node" and str(e.get("name", "")).endswith(KERNEL)]
    seconds: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0] * len(runs))
    by_node: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0] * len(runs))
    calls: Counter[tuple[str, str]] = Counter()
    between = [run.length for run in runs]
    for event, own in _own_times(kernels):
        place = _run_of(_Span.of(event), runs)
        if place is not None:
            what = (_operator(event), event["args"].get("provider", "").removesuffix("ExecutionProvider"))
            seconds[what][place] += own
            by_node[str(event["name"]).removesuffix(KERNEL), what[0]][place] += own
            calls[what] += 1
            between[place] -= own
    medians = {what: statistics.median(each) for what, each in seconds.items()}
    total = sum(medians.values()) or 1.0
    rows = [OperatorTime(*what, round(calls[what] / len(runs)), s / 1e6, s / total) for what, s in medians.items()]
    nodes = [NodeTime(*which, statistics.median(each) / 1e6) for which, each in by_node.items()]
    whole = statistics.median(run.length for run in runs) if runs else 0.0
    return Profile(
        device=device,
        threads=threads,
        runs=len(runs),
        data=data,
        seconds=whole / 1e6,
        operators=tuple(sorted(rows, key=lambda row: (-row.seconds, row.operator))),
        between=max(0.0, statistics.median(between) if between else 0.0) / 1e6,
        slowest=tuple(sorted(nodes, key=lambda node: (-node.seconds, node.node))[:named]),
    )


@dataclass(frozen=True)
class _Span:
    start: float
    end: float

    @classmethod
    def of(cls, event: Event) -> "_Span":
        return cls(event["ts"], event["ts"] + event["dur"])

    @property
    def length(self) -> float:
        return self.end - self.start


def _own_times(kernels: Iterable[Event]) -> Iterable[tuple[Event, float]]:
    """Each kernel with its time less that of the kernels inside it: an If lasts as long as its branch."""
    by_thread: dict[object, list[Event]] = defaultdict(list)
    for event in kernels:
        by_thread[event.get("tid")].append(event)
    for events in by_thread.values():
        own = [float(e["dur"]) for e in events]
        open_ones: list[int] = []
        for place in sorted(range(len(events)), key=lambda i: (events[i]["ts"], -events[i]["dur"])):
            span = _Span.of(events[place])
            while open_ones and _Span.of(events[open_ones[-1]]).end <= span.start:
                open_ones.pop()
            if open_ones:
                own[open_ones[-1]] -= span.length
            open_ones.append(place)
        yield from zip(events, own, strict=True)


def _operator(event: Event) -> str:
    """Its type; what a provider compiled as a whole is named after the provider and a number."""
    name = str(event["args"].get("op_name", "?"))
    return re.sub(r"ExecutionProvider_[\d_]+$", " subgraph", name)


def _run_of(span: _Span, runs: Sequence[_Span]) -> int | None:
    place = bisect_right(runs, span.start, key=lambda run: run.start) - 1
    return place if place >= 0 and span.start < runs[place].end else None
