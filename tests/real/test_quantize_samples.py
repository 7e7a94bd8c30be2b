"""The sample models through `optkit quantize --int8` as a user runs it, stopwatch and all; accuracy on their evaluation data."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from optkit.cli import main
from optkit.runtimes import open_session

pytestmark = pytest.mark.slow

SAMPLES = Path(__file__).parents[2] / "sample_models"
NAMES = ["diamonds_mlp", "fashion_cnn", "trec_transformer"]
MOST_POINTS_LOST = 0.01
BATCH = 500


def top1(model: Path, name: str) -> float:
    """Share of right answers over all of the evaluation data."""
    with np.load(SAMPLES / name / "evaluation.npz") as file:
        arrays = dict(file)
    labels, session = arrays.pop("labels"), open_session(model)
    right = [
        session.run({key: value[at : at + BATCH] for key, value in arrays.items()})["logits"].argmax(1) == labels[at : at + BATCH]
        for at in range(0, len(labels), BATCH)
    ]
    return float(np.concatenate(right).mean())


def quantize(name: str, target: Path, *more: str) -> dict[str, Any]:
    """What `--json` says of it. A machine so busy that nothing looks faster may not fail a test."""
    line = [
        "quantize",
        str(SAMPLES / name / "model.onnx"),
        "--int8",
        "-o",
        str(target),
        "--no-cache",
        "--json",
        "--accept-size-only",
        *more,
    ]
    ended = CliRunner().invoke(main, line, prog_name="optkit")
    assert ended.exit_code == 0, ended.output
    made: dict[str, Any] = json.loads(ended.stdout)["lineage"][-1]
    return made


@pytest.mark.parametrize("name", NAMES)
def test_at_most_one_point_of_accuracy_is_lost_and_the_file_is_small(name: str, tmp_path: Path) -> None:
    source, target = SAMPLES / name / "model.onnx", tmp_path / "int8.onnx"
    made = quantize(name, target, "--data", str(SAMPLES / name / "calibration.npz"))
    assert target.stat().st_size < 0.4 * source.stat().st_size
    assert top1(target, name) >= top1(source, name) - MOST_POINTS_LOST
    notes = made["notes"]
    assert notes["judged_on"] == "real examples"
    assert notes["calibrated_on"] == 128
    assert notes["measured_sqnr"] > 15
    onnx.checker.check_model(onnx.load(target), full_check=True)


def test_without_data_too(tmp_path: Path) -> None:
    name, target = "trec_transformer", tmp_path / "int8.onnx"
    made = quantize(name, target)
    assert made["notes"]["judged_on"] == "made-up inputs"
    source = SAMPLES / name / "model.onnx"
    assert target.stat().st_size < 0.4 * source.stat().st_size
    assert top1(target, name) >= top1(source, name) - MOST_POINTS_LOST


@pytest.mark.parametrize(("name", "way"), [("fashion_cnn", "static"), ("trec_transformer", "dynamic")])
def test_the_method_that_suits_keeps_the_accuracy_when_it_must_be_used(name: str, way: str, tmp_path: Path) -> None:
    source, target = SAMPLES / name / "model.onnx", tmp_path / "int8.onnx"
    made = quantize(name, target, "--data", str(SAMPLES / name / "calibration.npz"), "--method", way)
    operators = made["notes"]["operators"]
    assert any(found.startswith(way) for ways in operators.values() for found in ways)
    assert top1(target, name) >= top1(source, name) - MOST_POINTS_LOST
