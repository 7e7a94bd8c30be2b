"""The official traffic: MLCommons' LoadGen sends the queries, keeps the time and says what is valid; here are only the answers.

Reddi et al. 2020, "MLPerf Inference Benchmark" (ISCA). A run as long as `--time` is no submission: those last ten minutes at least.
"""

import json
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from optkit.errors import UsageError
from optkit.needs import need
from optkit.progress import Progress
from optkit.scenarios import Candidate, Figure, Outcome, Traffic
from optkit.scenarios._played import IN_TIME, rate_to_start
from optkit.scenarios._queue import Queue, runner
from optkit.scenarios.server import LONGEST, TIMINGS, single_takes_too_long, too_slow
from optkit.stats.order import runs_needed
from optkit.timing.lanes import Calls, warm_up

TRIES, LOWER = 6, 0.93
"""Rates tried, each so much lower than the last."""
OFFICIAL = ("single_stream", "offline", "server")
LIBRARY = 64
"""Samples that queries draw from; feeds repeat."""
FEWEST = 64
"""Queries; LoadGen's estimates need as many."""
AMPLE = 1.5
"""LoadGen makes its queries beforehand, for the speed it is told of: told of a higher one it does not run out of them."""
LATENCIES = {"50": "p50", "90": "p90", "95": "p95", "99": "p99", "99.9": "p999"}
Send = Callable[[list[Any]], None]
Log = Mapping[str, Any]


class LoadGenerator:
    """One of the official scenarios. The models run one after the other, each in a test of its own."""

    def __init__(self, word: str) -> None:
        """Raises UsageError where MLPerf has no such scenario, MissingLibrary where LoadGen is not installed."""
        if word not in OFFICIAL:
            raise UsageError(
                f"--loadgen: MLPerf has no scenario {word}", hint=f"it has {', '.join(OFFICIAL)}; leave --loadgen out for others"
            )
        self.word = word
        self.loadgen = need("loadgen", "--loadgen")

    def run(
        self, models: Sequence[Candidate], traffic: Traffic, progress: Progress, interrupted: Callable[[], None] | None = None
    ) -> list[Outcome]:
        if self.word == "server" and traffic.slo is None:
            raise UsageError("the scenario server needs to know what is in time", hint="--slo 50ms")
        found = []
        for number, model in enumerate(models):
            progress(f"{model.name}: LoadGen", number, len(models))
            found.append({"single_stream": self._single, "offline": self._offline, "server": self._server}[self.word](model, traffic))
        return found

    def _single(self, model: Candidate, traffic: Traffic) -> Outcome:
        calls = _opened(model, min(model.batches))
        settings = self._settings("SingleStream", traffic)
        settings.min_query_count = FEWEST
        settings.single_stream_expected_latency_ns = max(1, round(warm_up(calls[0]) / AMPLE * 1e9))

        def send(queries: list[Any]) -> None:
            for query in queries:
                calls[query.index % len(calls)]()
                self._answered([query])

        log = self._test(settings, send)
        rate = _rate("queries_per_second", log["result_qps_with_loadgen_overhead"])
        return Outcome((*_latencies(log, int(log["result_query_count"])), rate), _says(log))

    def _offline(self, model: Candidate, traffic: Traffic) -> Outcome:
        opened = {batch: _opened(model, batch) for batch in sorted(model.batches)}
        run = runner(opened)
        rates = {batch: batch / float(np.median([run(batch) for _ in range(TIMINGS)])) for batch in opened}
        best = max(rates, key=lambda batch: rates[batch])
        settings = self._settings("Offline", traffic)
        settings.offline_expected_qps = rates[best] * AMPLE

        def send(queries: list[Any]) -> None:
            for start in range(0, len(queries), best):
                run(best)
                self._answered(queries[start : start + best])

        log = self._test(settings, send)
        size = Figure("best_batch", "", best, None, None, len(rates))
        return Outcome((size, _rate("throughput", log["result_samples_per_second"])), _says(log))

    def _server(self, model: Candidate, traffic: Traffic) -> Outcome:
        assert traffic.slo is not None
        opened = {batch: _opened(model, batch) for batch in sorted(model.batches)}
        line, run = Queue(tuple(opened), traffic.max_delay), runner(opened)
        times = {batch: np.array([run(batch) for _ in range(TIMINGS)]) for batch in opened}
        rate = rate_to_start(times, line, traffic.slo, np.random.default_rng(traffic.seed))
        log: Log = {}
        if float(np.median(times[line.sizes[0]])) > traffic.slo:
            return Outcome((), (single_takes_too_long(traffic.slo),))
        if runs_needed(IN_TIME) / rate > LONGEST:
            return Outcome((), (too_slow(runs_needed(IN_TIME)),))
        for _ in range(TRIES):
            settings = self._settings("Server", traffic)
            settings.server_target_qps, settings.server_target_latency_ns = rate, round(traffic.slo * 1e9)
            settings.server_target_latency_percentile = IN_TIME
            settings.min_query_count = runs_needed(IN_TIME)
            log = self._served(settings, line, run)
            if log["result_validity"] == "VALID":
                break
            rate *= LOWER
        valid = log["result_validity"] == "VALID"
        found = (_rate("queries_per_second", log["result_scheduled_samples_per_sec"]),) if valid else ()
        return Outcome((*found, *_latencies(log, int(log["result_query_count"]))), _says(log))

    def _served(self, settings: Any, line: Queue, run: Callable[[int], float]) -> Log:
        """One test; LoadGen's thread only puts queries into a queue, and one worker answers them in batches as they have gathered."""
        waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
        raised: list[Exception] = []

        def send(queries: list[Any]) -> None:
            for query in queries:
                waiting.put(query)

        def work() -> None:
            while (query := waiting.get()) is not None:
                batch, until = [query], time.perf_counter() + line.max_delay
                while len(batch) < line.sizes[-1]:
                    try:
                        more = waiting.get(timeout=max(0.0, until - time.perf_counter()))
                    except queue.Empty:
                        break
                    if more is None:
                        waiting.put(None)
                        break
                    batch.append(more)
                if not raised:
                    try:
                        run(line.size_for(len(batch)))
                    except Exception as error:
                        raised.append(error)
                self._answered(batch)

        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        try:
            log = self._test(settings, send)
        finally:
            waiting.put(None)
            worker.join()
        if raised:
            raise raised[0]
        return log

    def _settings(self, scenario: str, traffic: Traffic) -> Any:
        settings = self.loadgen.TestSettings()
        settings.scenario = getattr(self.loadgen.TestScenario, scenario)
        settings.mode = self.loadgen.TestMode.PerformanceOnly
        settings.min_duration_ms = max(1, round(traffic.seconds * 1000))
        settings.qsl_rng_seed = settings.sample_index_rng_seed = settings.schedule_rng_seed = traffic.seed
        return settings

    def _answered(self, queries: Sequence[Any]) -> None:
        self.loadgen.QuerySamplesComplete([self.loadgen.QuerySampleResponse(query.id, 0, 0) for query in queries])

    def _test(self, settings: Any, send: Send) -> Log:
        """Run a test and read its log. What an answer raises is raised here: LoadGen knows no exceptions."""
        raised: list[BaseException] = []

        def guarded(queries: list[Any]) -> None:
            try:
                if raised:
                    self._answered(queries)
                else:
                    send(queries)
            except BaseException as error:
                raised.append(error)
                self._answered(queries)

        with tempfile.TemporaryDirectory(prefix="optkit-") as folder:
            _run(self.loadgen, settings, guarded, folder)
            if raised:
                raise raised[0]
            return _read(Path(folder) / "mlperf_log_detail.txt")


def _run(loadgen: ModuleType, settings: Any, send: Send, folder: str) -> None:
    log = loadgen.LogSettings()
    output = loadgen.LogOutputSettings()
    output.outdir, output.copy_summary_to_stdout = folder, False
    log.log_output, log.enable_trace = output, False
    served = loadgen.ConstructSUT(send, lambda: None)
    library = loadgen.ConstructQSL(LIBRARY, LIBRARY, lambda _: None, lambda _: None)
    try:
        loadgen.StartTestWithLogSettings(served, library, settings, log, "")
    finally:
        loadgen.DestroyQSL(library)
        loadgen.DestroySUT(served)


def _read(path: Path) -> Log:
    lines = [line.partition(":::MLLOG ")[2] for line in path.read_text(encoding="utf-8").splitlines()]
    return {found["key"]: found["value"] for found in (json.loads(line) for line in lines if line)}


def _opened(model: Candidate, batch: int) -> Calls:
    calls = model.opener(batch)()
    warm_up(calls[0])
    return calls


def _latencies(log: Log, n: int) -> list[Figure]:
    found = {share: log.get(f"result_{float(share):.2f}_percentile_latency_ns") for share in LATENCIES}
    return [
        Figure(f"latency_{LATENCIES[share]}", "s", float(value) / 1e9, None, None, n)
        for share, value in found.items()
        if value is not None and n >= runs_needed(float(share) / 100)
    ]


def _rate(name: str, value: float) -> Figure:
    return Figure(name, "1/s", float(value), None, None, 1)


def _says(log: Log) -> tuple[str, ...]:
    valid = f"MLPerf LoadGen: {log['result_validity']}"
    why = log.get("result_invalid_reason")
    return (f"{valid}{f' ({why})' if why else ''}; a run this short is no submission",)
