"""ONNX models through ONNX Runtime, on any of its execution providers."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from optkit.arrays import Array
from optkit.decoder import with_empty_cache
from optkit.errors import DataError, ModelError, OptkitError
from optkit.runtimes import Port
from optkit.runtimes._bound import Bound
from optkit.runtimes._feeds import as_array, dtype_of, mismatch
from optkit.runtimes._placement import RECORD_PLACEMENT, count_nodes
from optkit.runtimes._providers import Provider, find_provider

FATAL = 4
"""ONNX Runtime's log level that prints nothing short of a crash: what goes wrong reaches the user as an error of ours."""


class OnnxSession:
    """A model opened by ONNX Runtime on one device."""

    def __init__(self, session: ort.InferenceSession, provider: Provider, where: str) -> None:
        self.raw = session
        """ONNX Runtime's own session, for what this class does not offer."""
        self.provider = provider
        self.where = where
        self.inputs = tuple(_port(each) for each in session.get_inputs())
        self.outputs = tuple(_port(each) for each in session.get_outputs())
        self._names = [port.name for port in self.outputs]

    def run(self, feed: Mapping[str, Array], outputs: Sequence[str] | None = None) -> dict[str, Array]:
        """Answer one batch; named outputs only, or all. Raises DataError when the feed does not fit, ModelError when the model fails."""
        names = self._known(outputs) if outputs else self._names
        try:
            answers = self.raw.run(names, self._arrays(feed))
        except Exception as error:  # ONNX Runtime's errors have no common ancestor
            raise self._explained(error, self._arrays(feed)) from error
        return {name: as_array(answer) for name, answer in zip(names, answers, strict=True)}

    def bind(self, feed: Mapping[str, Array]) -> Callable[[], None]:
        """A call that answers `feed` again and again with inputs and outputs already on the device, and returns when it is done.

        Where a value cannot be bound (text, sequences) the call passes it each time. Raises as `run` does: the feed is tried once.
        """
        arrays = self._arrays(feed)
        if not all(port.dtype in _BINDABLE for port in self.inputs + self.outputs) or mismatch(self.inputs, arrays):
            self.run(arrays)
            return lambda: self.raw.run(self._names, arrays) and None
        try:
            bound = Bound(self.raw, self.provider, arrays)
            bound()
        except Exception as error:
            raise self._explained(error, feed) from error
        try:
            bound()  # where a model declares another rank for an output than it computes, only its second answer is refused
        except Exception:
            return lambda: self.raw.run(self._names, arrays) and None
        return bound

    def queue(self, feed: Mapping[str, Array]) -> Callable[[], None] | None:
        """As `bind`, but the call returns as soon as the device has been told to answer; None where a value cannot be bound."""
        bound = self.bind(feed)
        return bound.queue if isinstance(bound, Bound) else None

    def placement(self) -> dict[str, int]:
        """Nodes of the model per execution provider, subgraphs included."""
        return count_nodes(self.raw)

    def end_profile(self) -> Path:
        """Stop profiling and name the JSON file that holds it; only where the session was opened with `profile`."""
        return Path(self.raw.end_profiling())

    def _arrays(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """Scalars that numpy hands out are no arrays, and ONNX Runtime takes nothing else; a cache that is not given is empty."""
        return {name: np.asarray(array) for name, array in with_empty_cache(self.inputs, feed).items()}

    def _known(self, outputs: Sequence[str]) -> list[str]:
        for name in outputs:
            if name not in self._names:
                raise ModelError(f"the model has no output {name!r}", where=self.where, hint="its outputs: " + ", ".join(self._names))
        return list(outputs)

    def _explained(self, error: Exception, feed: Mapping[str, Array]) -> OptkitError:
        found = mismatch(self.inputs, feed)
        if found:
            return DataError(found, where=self.where, hint="the model's inputs: " + ", ".join(map(show_port, self.inputs)))
        hint = "check that the data is what the model wants: sizes, ranges, lengths"
        return ModelError(f"it fails while running: {cause(error)}", where=self.where, hint=hint)


def open_onnx(
    model: Path | bytes,
    device: str = "cpu",
    threads: int = 1,
    *,
    optimize: bool = True,
    arena: bool = True,
    shapes_first: bool = False,
    profile: Path | None = None,
    config: Mapping[str, str] | None = None,
    optimized_to: Path | None = None,
    stream: int = 0,
) -> OnnxSession:
    """Open an ONNX model, given as a path or as bytes, on a device with `threads` threads (0: the runtime decides).

    `optimize=False` runs the graph as it is written, `arena=False` gives memory back as soon as it can, `shapes_first`
    reads a tensor's shape as soon as it is there, so that it need not be kept for that.
    `profile` is where a profile starts its file name (see `end_profile`),
    `config` adds session configuration entries, `optimized_to` saves the graph as ONNX Runtime rewrote it,
    `stream` is the address of a CUDA stream to compute in, which has to outlive the session.
    Raises UsageError when the device is not there and ModelError when the model does not load.
    """
    ort.set_default_logger_severity(FATAL)
    where = "the model" if isinstance(model, bytes) else str(model)
    provider = replace(find_provider(device), stream=stream)
    options = _options(threads, optimize, profile, config or {}, optimized_to)
    options.enable_cpu_mem_arena = options.enable_mem_pattern = arena
    if shapes_first:
        options.execution_order = ort.ExecutionOrder.PRIORITY_BASED
    try:
        session = provider.open(model if isinstance(model, bytes) else str(model), options)
    except OptkitError:
        raise
    except Exception as error:  # ONNX Runtime's errors have no common ancestor
        raise _not_loaded(model, where, provider, error) from error
    return OnnxSession(session, provider, where)


def _options(
    threads: int, optimize: bool, profile: Path | None, config: Mapping[str, str], optimized_to: Path | None
) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = FATAL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimize else level.ORT_DISABLE_ALL
    # idle threads of one session otherwise spin on the cores that the next session needs
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.add_session_config_entry(RECORD_PLACEMENT, "1")
    for key, value in config.items():
        options.add_session_config_entry(key, value)
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    if optimized_to is not None:
        options.optimized_model_filepath = str(optimized_to)
    return options


def _not_loaded(model: Path | bytes, where: str, provider: Provider, error: Exception) -> ModelError:
    if isinstance(model, Path) and not model.exists():
        return ModelError("there is no such file", where=where)
    place = "" if provider.word == "cpu" else f" on {provider.word}"
    hint = "custom operators cannot be loaded; ONNX's own and ONNX Runtime's can" if "registered" in str(error) else _EXPORT
    return ModelError(f"ONNX Runtime cannot load it{place}: {cause(error)}", where=where, hint=hint)


def cause(error: Exception) -> str:
    """An ONNX Runtime error in one line: without its code, source positions and what repeats the path."""
    text = _NOISE.sub("", " ".join(str(error).split()))
    return text if len(text) <= 300 else text[:299] + "…"


def show_port(port: Port) -> str:
    """`tokens int64[batch, 128]`."""
    return f"{port.name} {port.dtype}[{', '.join('?' if size is None else str(size) for size in port.shape)}]"


def _port(node: Any) -> Port:
    return Port(node.name, dtype_of(node.type), tuple(size if size is None or size != "" else None for size in node.shape or ()))


_EXPORT = "export it again, or for another version of ONNX Runtime; optkit doctor shows the one here"
_NOISE = re.compile(
    r"""^\[ONNXRuntimeError\]\ :\ \d+\ :\ \w+\ :\ (?:Load\ model\ from\ .*?failed:)?   # the code and the path
    | Check\ '[^']*'\ failed\ at\ \S+:\d+:\s                                        # OpenVINO's source positions
    | /\S+\.(?:h|cc|cpp):\d+:?\s(?:[^()]*\([^()]*\)\s)?                            # ONNX Runtime's, with the function
    """,
    re.VERBOSE,
)
_BINDABLE = frozenset(["bool", "float16", "float32", "float64", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))])
