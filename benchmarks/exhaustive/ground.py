"""Builds configurations of one model, judges them, and times them in heats against float32."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from exhaustive.number_formats import with_signed_activations, with_single_scales, with_unsigned_weights
from exhaustive.outcome import Measured

from optkit.errors import OptkitError
from optkit.formats.onnx import digest_of, model_size
from optkit.quantization.affine import quantize_weight
from optkit.quantization.graphs import constant_array
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
HEAT = 10
"""Configurations timed together."""


@dataclass(frozen=True)
class Configuration:
    """One point of the search."""

    treatment: Treatment
    numbers: str = "U8S8 portable"
    granularity: str = "per channel"
    format: str = "QDQ"

    @property
    def name(self) -> str:
        return f"{self.treatment.name}; {self.numbers}, {self.granularity}, {self.format}"


@dataclass
class Ground:
    """The bench of one model, and everything measured on it so far."""

    bench: Bench
    seconds: float
    """Of timing, for each configuration."""
    found: dict[str, Measured] = field(default_factory=dict)
    configurations: dict[str, Configuration] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    digests: set[str] = field(default_factory=set)
    failed: int = 0

    def explore(self, wanted: Sequence[Configuration], stage: str) -> None:
        """Build, judge and time what was not tried before."""
        fresh = [c for c in {c.name: c for c in wanted}.values() if c.name not in self.configurations]
        built: list[tuple[Configuration, Path, float]] = []
        for configuration in fresh:
            self.configurations[configuration.name] = configuration
            made = self._built(configuration)
            if made is not None:
                built.append((configuration, *made))
        for start in range(0, len(built), HEAT):
            heat = built[start : start + HEAT]
            ratios = self.timed([path for _, path, _ in heat], self.seconds * len(heat))
            for (configuration, path, sqnr), ratio in zip(heat, ratios, strict=True):
                self.files[configuration.name] = path
                size = model_size(path) / self.bench.size
                self.found[configuration.name] = Measured(configuration.name, stage, ratio, sqnr, size)

    def add_file(self, path: Path, name: str, stage: str) -> Measured | None:
        """A file made elsewhere takes part too; None when it does not load or its answers are broken."""
        sqnr = self._judged(path)
        if sqnr is None:
            return None
        self.files[name] = path
        self.found[name] = Measured(name, stage, self.timed([path], 3 * self.seconds)[0], sqnr, model_size(path) / self.bench.size)
        return self.found[name]

    def timed(self, paths: Sequence[Path], seconds: float) -> list[Interval]:
        """Time of each over float32's, in one interleaved run."""
        models = [self.bench.original, *paths]
        return race(models, self.bench.raced, seconds=seconds, threads=1, device="cpu", seed=self.bench.seed)[1:]

    def _built(self, configuration: Configuration) -> tuple[Path, float] | None:
        try:
            path = written(self.bench, configuration)
        except (OptkitError, RuntimeError, ValueError, KeyError) as error:  # the search goes where the tables say that nothing works
            self.bench.failures[configuration.name] = str(error)
            self.failed += 1
            return None
        digest = digest_of(path)
        if digest in self.digests:  # what has no static node is the same in S8S8
            path.unlink()
            return None
        self.digests.add(digest)
        sqnr = self._judged(path)
        return None if sqnr is None else (path, sqnr)

    def _judged(self, path: Path) -> float | None:
        try:
            fidelity = self.bench.reference.compare(open_session(path))
        except OptkitError as error:
            self.bench.failures[path.name] = error.what
            self.failed += 1
            return None
        if not fidelity.finite or not fidelity.varies:
            self.failed += 1
            return None
        return fidelity.sqnr


def written(bench: Bench, configuration: Configuration) -> Path:
    """The configuration as a file. Raises what building or ONNX Runtime raises."""
    portable = configuration.numbers == "U8S8 portable"
    treatment = replace(configuration.treatment, portable=portable)
    path = _with_weights(bench, treatment, 7 if configuration.numbers == "U8S7" else 8, configuration.granularity)
    model = onnx.load(path)
    if configuration.granularity == "per tensor":
        model = with_single_scales(model)
    if configuration.numbers == "S8S8":
        model = with_signed_activations(model)
    if configuration.numbers == "U8U8":
        model = with_unsigned_weights(model)
    onnx.save(model, path)
    return as_operators(path) if configuration.format == "QOperator" else path


def _with_weights(bench: Bench, treatment: Treatment, bits: int, granularity: str) -> Path:
    """The treatment as a file, its weights rounded as asked for."""
    if bits == 8 and granularity == "per channel":
        return bench.write(treatment)
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
        return bench.write(treatment)
    finally:
        bench.learned = learned


def as_operators(path: Path) -> Path:
    """The graph as ONNX Runtime fuses it, saved: integer operators in place of Q/DQ pairs."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    made = path.with_name(f"operators_{path.name}")
    options.optimized_model_filepath = str(made)
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return made
