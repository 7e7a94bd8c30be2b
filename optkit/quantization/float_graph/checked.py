"""The float graph, held against the model it was made from: a rewrite that changes the answers, or makes it slower, is taken back."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.errors import OptkitError
from optkit.formats.onnx import LARGEST_DRAFT, model_size, save_model
from optkit.quantization.calibration.feeds import Feeds
from optkit.quantization.fidelity.likeness import TRIED, trial_feeds
from optkit.quantization.fidelity.reference import Reference
from optkit.quantization.float_graph.pace import SLOWER, pace
from optkit.quantization.float_graph.prepare import STEPS, Prepared, prepare
from optkit.quantization.half.widen import told, widen
from optkit.runtimes import full_feeds, open_session
from optkit.timing.clocks import Clock

EQUAL = 70.0
"""dB: what reordered float32 arithmetic leaves of a deep model at the worst; a wrong rewrite is far below."""
LARGE = 1 << 30
"""Bytes of a model from which times are left to the race of the variants."""
ENOUGH = 16
"""Feeds: a wrong rewrite shows on every one."""


def prepare_tried(model: ir.Model, examples: Feeds | None, device: str, threads: int, seed: int) -> Prepared:
    """As `prepare_checked`, on a few examples or, without any, on made-up inputs; where the model takes none, masks stay as they are."""
    with tempfile.TemporaryDirectory(prefix="optkit-") as folder:
        given = Path(folder) / "given.onnx"
        save_model(model, given, largest=LARGEST_DRAFT)
        session = open_session(given, device, threads)
        feeds = trial_feeds(session, None, seed=seed) if examples is None else list(full_feeds(session, examples.spread(TRIED)))
        if feeds:
            return prepare_checked(given, model, feeds, device, threads)
    wide = widen(model)
    ready = prepare(wide, soften=False)
    return ready if wide is model else _widened(ready)


@np.errstate(over="ignore", invalid="ignore")
def prepare_checked(original: Path, model: ir.Model, feeds: Sequence[Mapping[str, Array]], device: str, threads: int) -> Prepared:
    """The most simplified graph whose answers to `feeds`, of many the first, are those of the original file.

    What is in half precision there is float32 here; such a graph's answers are those of the original computed in float32.
    """
    wide = widen(model)
    if wide is model:
        return _simplest(original, model, feeds, device, threads)
    with tempfile.TemporaryDirectory(prefix="optkit-") as folder:
        start = Path(folder) / "wide.onnx"
        save_model(wide, start)
        return _widened(_simplest(start, wide, feeds, device, threads))


def _widened(ready: Prepared) -> Prepared:
    return replace(ready, remarks=(told(ready.model), *ready.remarks), widened=True)


def _simplest(start: Path, model: ir.Model, feeds: Sequence[Mapping[str, Array]], device: str, threads: int) -> Prepared:
    """The most simplified graph that answers alike, and takes no longer for it."""
    opened = open_session(start, device, threads)
    reference = Reference(model, opened, feeds[:ENOUGH])
    session = opened if model_size(start) < LARGE else None  # rather than two of that size at once
    del opened

    def tried(ready: Prepared) -> float | None:
        """The time of a graph over the original's; None where it does not run, or answers otherwise."""
        with tempfile.TemporaryDirectory(prefix="optkit-") as folder:
            path = Path(folder) / "prepared.onnx"
            save_model(ready.model, path)
            with suppress(OptkitError):
                made = open_session(path, device, threads)
                if reference.compare(made).sqnr >= EQUAL:
                    clock: Clock = "thread" if threads == 1 and device == "cpu" else "wall"
                    return pace(session, made, feeds[0], clock) if session is not None else 1.0
        return None

    for soften in (True, False):
        ready = prepare(model, soften=soften)
        taken = tried(ready)
        if taken is not None:
            return ready if taken <= SLOWER else _as_quick(ready, model, soften, tried)
    return prepare(model, soften=False, rewrite=False)


def _as_quick(slow: Prepared, model: ir.Model, soften: bool, tried: Callable[[Prepared], float | None]) -> Prepared:
    """The graph without the first of the steps without which it takes no longer; without any of them, where no single one is to blame."""
    if (tried(slow) or 0.0) <= SLOWER:
        return slow  # it was luck
    for step in STEPS:
        ready = prepare(model, soften=soften, but=(step,))
        taken = tried(ready)
        if taken is not None and taken <= SLOWER:
            return ready
    return prepare(model, soften=False, rewrite=False)


def same_answers(model: ir.Model, made: ir.Model, feeds: Sequence[Mapping[str, Array]], threads: int) -> bool:
    """Whether a rewritten graph answers as the graph it was made from."""
    with tempfile.TemporaryDirectory(prefix="optkit-") as folder:
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        save_model(model, before)
        save_model(made, after)
        try:
            return Reference(model, open_session(before, "cpu", threads), feeds).compare(open_session(after, "cpu", threads)).sqnr >= EQUAL
        except OptkitError:
            return False
