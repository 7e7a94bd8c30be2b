"""Builds configurations of one model, judges them, and times them in heats against float32."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from exhaustive.number_formats import with_signed_activations, with_single_scales, with_unsigned_weights
from exhaustive.outcome import Measured

from optkit.errors import ModelError, OptkitError
from optkit.formats.onnx import digest_of, model_size
from optkit.quantization.affine import quantize_weight
from optkit.quantization.fidelity.reference import Fidelity
from optkit.quantization.fidelity.room import room
from optkit.quantization.graphs import constant_array
from optkit.quantization.integer_graph import insert_static
from optkit.quantization.integer_graph.fill_channels import fill_channels
from optkit.quantization.integer_graph.fill_outputs import fill_outputs
from optkit.quantization.operators import WEIGHT_INPUT, channel_axis, weighted_nodes
from optkit.quantization.rounding.learned_rounding import Rounded
from optkit.quantization.variants.race import race
from optkit.quantization.variants.treatment import Treatment
from optkit.quantization.variants.trial import Bench
from optkit.runtimes import open_session
from optkit.stats.interval import Interval

NUMBERS = ("U8S8", "U8S8 portable", "U8S7", "S8S8", "U8U8")
"""Activations and weights; `portable` narrows weights where 16-bit sums could overflow, S7 narrows all."""
GRANULARITIES = ("per channel", "per tensor")
FORMATS = ("QDQ", "QOperator")
FILLED: dict[str, tuple[Callable[[ir.Model], int], Callable[[ir.Model], int]]] = {
    "where it should gain": (fill_outputs, fill_channels),
    "only in front of layers": (lambda model: 0, fill_channels),
    "only between layers": (fill_outputs, lambda model: 0),
    "nowhere": (lambda model: 0, lambda model: 0),
}
"""What adds channels of zeros between two convolutions, and what adds those that one of them alone reads."""
SIMPLIFIED, SCALED, GIVEN = "simplified", "scaled channels", "as given"
"""Float graphs to start from."""
HEAT = 10
"""Configurations timed together."""
BEATEN = 1.3
"""Times the time of another that is as faithful. What takes longer is not kept as a file: hundreds of them fill a disk."""


@dataclass(frozen=True)
class Configuration:
    """One point of the search."""

    treatment: Treatment
    numbers: str = "U8S8 portable"
    granularity: str = "per channel"
    format: str = "QDQ"
    filled: str = "where it should gain"
    graph: str = SIMPLIFIED

    @property
    def name(self) -> str:
        usual = Configuration(self.treatment)
        graph = f", graph {self.graph}" if self.graph == GIVEN else ""  # the names of treatments tell of the others
        filled = f", zeros {self.filled}" if self.filled != usual.filled else ""
        return f"{self.treatment.name}; {self.numbers}, {self.granularity}, {self.format}{filled}{graph}"


@dataclass
class Ground:
    """The bench of one model, and everything measured on it so far."""

    bench: Bench
    seconds: float
    """Of timing, for each configuration."""
    floor: float | None = None
    """dB asked for; None leaves it to the rules that optkit's default keeps."""
    found: dict[str, Measured] = field(default_factory=dict)
    configurations: dict[str, Configuration] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    digests: set[str] = field(default_factory=set)
    failed: int = 0
    others: dict[str, Bench] = field(default_factory=dict)
    """Of other float graphs than the usual."""

    def bench_of(self, configuration: Configuration) -> Bench:
        """The bench of the float graph that a configuration starts from."""
        return self.others.get(configuration.graph, self.bench)

    def explore(self, wanted: Sequence[Configuration], stage: str) -> None:
        """Build, judge and time what was not tried before."""
        fresh = [c for c in {c.name: c for c in wanted}.values() if c.name not in self.configurations]
        for start in range(0, len(fresh), HEAT):
            built: list[tuple[Configuration, Path, Fidelity]] = []
            for configuration in fresh[start : start + HEAT]:
                self.configurations[configuration.name] = configuration
                made = self._built(configuration)
                if made is not None:
                    built.append((configuration, *made))
            ratios = self.timed([path for _, path, _ in built], self.seconds * len(built)) if built else []
            for (configuration, path, fidelity), ratio in zip(built, ratios, strict=True):
                self._keep(configuration.name, stage, path, fidelity, ratio)
            self._drop_beaten()

    def add_file(self, path: Path, name: str, stage: str) -> Measured | None:
        """A file made elsewhere takes part too; None when it does not load or its answers are broken."""
        fidelity = self.judged(path)
        return None if fidelity is None else self._keep(name, stage, path, fidelity, self.timed([path], 3 * self.seconds)[0])

    def timed(self, paths: Sequence[Path], seconds: float) -> list[Interval]:
        """Time of each over float32's, in one interleaved run."""
        models = [self.bench.original, *paths]
        return race(models, self.bench.raced, seconds=seconds, threads=1, device="cpu", seed=self.bench.seed)[1:]

    def judged(self, path: Path) -> Fidelity | None:
        """How faithful a file is; None where ONNX Runtime refuses it or its answers are broken."""
        try:
            fidelity = self.bench.reference.compare(open_session(path))
        except OptkitError as error:
            self.bench.failures[path.name] = error.what
            self.failed += 1
            return None
        if not fidelity.finite or not fidelity.varies:
            self.failed += 1
            return None
        return fidelity

    def room(self, fidelity: Fidelity) -> float:
        """dB to spare."""
        return room(fidelity, self.floor)

    def _keep(self, name: str, stage: str, path: Path, fidelity: Fidelity, ratio: Interval) -> Measured:
        self.files[name] = path
        size = model_size(path) / self.bench.size
        self.found[name] = Measured(name, stage, ratio, fidelity.sqnr, self.room(fidelity), size)
        return self.found[name]

    def _drop_beaten(self) -> None:
        smaller = [m for m in self.found.values() if m.size < 1]
        for m in self.found.values():
            beaten = any(BEATEN * o.ratio.value < m.ratio.low and o.sqnr >= m.sqnr and o.room >= m.room for o in smaller)
            if beaten and m.name in self.configurations:
                self.files[m.name].unlink(missing_ok=True)

    def _built(self, configuration: Configuration) -> tuple[Path, Fidelity] | None:
        try:
            path = written(self.bench_of(configuration), configuration)
        except (OptkitError, RuntimeError, ValueError, KeyError) as error:  # the search goes where the tables say that nothing works
            self.bench.failures[configuration.name] = str(error)
            self.failed += 1
            return None
        digest = digest_of(path)
        if digest in self.digests:  # what has no static node is the same in S8S8
            path.unlink()
            return None
        self.digests.add(digest)
        fidelity = self.judged(path)
        if fidelity is None:
            path.unlink()
        return None if fidelity is None else (path, fidelity)


def written(bench: Bench, configuration: Configuration) -> Path:
    """The configuration as a file. Raises what building or ONNX Runtime raises."""
    portable = configuration.numbers == "U8S8 portable"
    treatment = replace(configuration.treatment, portable=portable)
    between, in_front = FILLED[configuration.filled]
    with patch.object(insert_static, "fill_outputs", between), patch.object(insert_static, "fill_channels", in_front):
        path = _with_weights(bench, treatment, 7 if configuration.numbers == "U8S7" else 8, configuration.granularity)
    if configuration.granularity == "per tensor":
        _change(path, with_single_scales)
    if configuration.numbers == "S8S8":
        _change(path, with_signed_activations)
    if configuration.numbers == "U8U8":
        _change(path, with_unsigned_weights)
    if configuration.format == "QDQ":
        return path
    try:
        return as_operators(path)
    finally:
        path.unlink()


def _change(path: Path, change: Callable[[onnx.ModelProto], onnx.ModelProto]) -> None:
    onnx.save(change(onnx.load(path)), path)


def _fused(bench: Bench, treatment: Treatment) -> Path:
    """Without the nodes that ONNX Runtime would leave in float between integers. Raises ModelError where it refuses the file."""
    trial = bench.attempt(treatment)
    if trial is None:
        raise ModelError(bench.failures[treatment.name])
    return trial.path


def _with_weights(bench: Bench, treatment: Treatment, bits: int, granularity: str) -> Path:
    """The treatment as a file, its weights rounded as asked for."""
    if bits == 8 and granularity == "per channel":
        return _fused(bench, treatment)
    learned, rounded = bench.learned, dict(bench.learned.rounded)
    for node in weighted_nodes(bench.model):
        weight, axis = constant_array(node.inputs[WEIGHT_INPUT]), channel_axis(node)
        if weight is None or node.name not in treatment.ways:
            continue
        scale = quantize_weight(weight, axis)[1]
        most = 2 ** (bits - 1) - 1
        wide = np.abs(weight).max() / most if granularity == "per tensor" else scale * (127 / most)
        scale = np.maximum(np.broadcast_to(np.asarray(wide, np.float32), scale.shape), np.float32(1e-30)).copy()
        across = scale.reshape([-1 if a == axis else 1 for a in range(weight.ndim)])
        rounded[str(node.name)] = Rounded(np.clip(np.rint(weight / across), -most, most).astype(np.int8), scale)
    bench.learned = replace(learned, rounded=rounded)
    try:
        return _fused(bench, treatment)
    finally:
        bench.learned = learned


def as_operators(path: Path) -> Path:
    """The graph as ONNX Runtime fuses it, saved: integer operators in place of Q/DQ pairs. Raises ModelError where it is refused."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    made = path.with_name(f"operators_{path.name}")
    options.optimized_model_filepath = str(made)
    try:
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common ancestor
        raise ModelError(str(error)) from error
    return made
