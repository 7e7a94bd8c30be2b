"""Every odd model through every command: a file that loads and says the same, or one clear sentence; never a traceback."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from optkit.datasets import Examples
from optkit.errors import OptkitError, PassFailed
from optkit.formats import read_artifact
from optkit.optimize import optimize
from optkit.passes import Pass
from optkit.passes.cast_half import CastHalf
from optkit.passes.quantize import Quantize
from optkit.passes.simplify_graph import SimplifyGraph
from optkit.quantization.variants.trial import Bench, Trial
from optkit.runtimes import full_feeds, open_session
from optkit.stats.interval import Interval

from .odd_models import ODD

PASSES: dict[str, tuple[Pass, float]] = {
    "int8": (Quantize(accept_size_only=True, min_sqnr=12), 12.0),
    "fp16": (CastHalf(), 20.0),
    "simplify": (SimplifyGraph(), 80.0),
}
"""With the dB of signal to noise that each keeps."""
HURRY = 60


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """No stopwatch: variants that compute in integers are faster, others as fast."""

    def time(bench: Bench, given: Sequence[Trial], seconds: float) -> list[Trial]:
        ratios = [0.5 if t.treatment.ways else 1.0 for t in given]
        return [replace(t, ratio=Interval(r, r, r)) for t, r in zip(given, ratios, strict=True)]

    monkeypatch.setattr(Bench, "time", time)
    monkeypatch.setattr("optkit.quantization.choosing.compete.node_times", lambda *_: {})


CASES = [(name, word) for name in ODD for word in PASSES]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "word"), [pytest.param(*case, marks=() if number % 8 == 0 else pytest.mark.slow) for number, case in enumerate(CASES)]
)
def test_a_faithful_file_or_a_sentence(name: str, word: str, tmp_path: Path) -> None:
    odd, (step, least) = ODD[name], PASSES[word]
    source, target = tmp_path / "model.onnx", tmp_path / "made.onnx"
    odd.save(source)
    if not odd.refused and name != "opset 6":
        ort.InferenceSession(source)  # the model is odd, not wrong
    given = Examples("a test", odd.examples, whole=odd.whole) if odd.examples is not None else None
    before = source.read_bytes()
    refusal = outcome(source, step, target, given)
    assert source.read_bytes() == before
    if refusal is not None:
        print(name, word, "->", type(refusal).__name__, refusal)
        assert not isinstance(refusal, PassFailed), refusal
        assert refusal.exit_code in (1, 2)
        assert len(refusal.what) < 300
        assert refusal.hint
        assert not target.exists()
        return
    same_face(onnx.load(source, load_external_data=False), onnx.load(target, load_external_data=False))
    if given is not None and name != "random numbers":
        assert likeness(source, target, given) >= least


def outcome(source: Path, step: Pass, target: Path, given: Examples | None) -> OptkitError | None:
    """Why there is no file, or None where there is one."""
    try:
        optimize(read_artifact(source), [step], target=target, examples={"calibration": given} if given else {})
    except OptkitError as error:
        return error
    return None


def same_face(old: onnx.ModelProto, new: onnx.ModelProto) -> None:
    """Inputs, outputs and metadata are what they were."""
    weights = {t.name for t in old.graph.initializer}
    assert [(v.name, v.type) for v in old.graph.input if v.name not in weights] == [
        (v.name, v.type) for v in new.graph.input if v.name not in weights
    ]
    assert [(v.name, v.type) for v in old.graph.output] == [(v.name, v.type) for v in new.graph.output]
    kept = {p.key: p.value for p in new.metadata_props}
    assert kept["author"] == "a test"
    assert new.producer_name == "odd"


def likeness(source: Path, target: Path, given: Examples) -> float:
    """dB of signal to noise, of the worst output."""
    sessions = [open_session(path) for path in (source, target)]
    worst = 200.0
    for feed in full_feeds(sessions[0], given.spread(HURRY), 8):
        exact, found = (s.run(feed) for s in sessions)
        for name, truth in exact.items():
            worst = min(worst, _ratio(truth, found[name]))
    return worst


def _ratio(truth: Any, found: Any) -> float:
    if isinstance(truth, list):
        return min(_ratio(a, b) for a, b in zip(truth, found, strict=True))
    truth, found = np.asarray(truth), np.asarray(found)
    assert (truth.dtype, truth.shape) == (found.dtype, found.shape)
    if truth.dtype.kind != "f":
        assert truth.dtype.kind == "i" or np.array_equal(truth, found)
        return 200.0
    known = np.isfinite(truth)
    np.testing.assert_array_equal(known, np.isfinite(found))
    signal, noise = float((truth[known].astype(float) ** 2).sum()), float(((truth[known].astype(float) - found[known]) ** 2).sum())
    return 200.0 if noise == 0 else float(10 * np.log10(signal / noise)) if signal else -np.inf
