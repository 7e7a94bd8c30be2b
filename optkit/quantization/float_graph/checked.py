"""The float graph, held against the model it was made from: a rewrite that changes the answers is taken back."""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.errors import OptkitError
from optkit.formats.onnx import LARGEST_DRAFT, save_model
from optkit.quantization.calibration.feeds import Feeds
from optkit.quantization.fidelity.likeness import TRIED, trial_feeds
from optkit.quantization.fidelity.reference import Reference
from optkit.quantization.float_graph.prepare import Prepared, prepare
from optkit.quantization.half.widen import told, widen
from optkit.runtimes import full_feeds, open_session

EQUAL = 70.0
"""dB: what reordered float32 arithmetic leaves of a deep model at the worst; a wrong rewrite is far below."""
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
    reference = Reference(model, open_session(start, device, threads), feeds[:ENOUGH])
    attempts: tuple[dict[str, bool], ...] = ({}, {"soften": False}, {"soften": False, "rewrite": False})
    for options in attempts[:-1]:
        ready = prepare(model, **options)
        with tempfile.TemporaryDirectory(prefix="optkit-") as folder:
            path = Path(folder) / "prepared.onnx"
            save_model(ready.model, path)
            with suppress(OptkitError):  # it does not load or run
                if reference.compare(open_session(path, device, threads)).sqnr >= EQUAL:
                    return ready
    return prepare(model, **attempts[-1])


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
