import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from rich.console import Console

from optkit.inspection import Inspection, OperatorTime, Profile
from optkit.inspection.inspect_model import inspect_model
from optkit.inspection.show import show_inspection

from .tiny_models import floats, parse

TEXT = """
<ir_version: 8, opset_import: ["": 17, "mine": 1], producer_name: "hand">
tagger (int64[batch, words] ids, float[batch, 3, 32, 32] image) => (float[batch, words, 7] tags, float[batch, 8, 30, 30] map) {
    rows = Gather (table, ids)
    hidden = MatMul (rows, w)
    same = Identity (hidden)
    odd = mine.Mystery (same)
    tags = MatMul (same, v)
    map = Conv (image, c)
}"""
PROFILE = Profile(
    "cpu",
    2,
    57,
    "evaluation.npz",
    0.00342,
    (
        OperatorTime("MatMul", "CPU", 2, 0.0026, 0.79),
        OperatorTime("Gather", "CPU", 1, 0.00064, 0.19),
        OperatorTime("Identity", "CPU", 1, 6e-6, 0.0018),
    ),
    0.00011,
)


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inspection:
    monkeypatch.chdir(tmp_path)
    onnx.save(parse(TEXT, {"table": floats(500, 64), "w": floats(64, 128), "v": floats(128, 7), "c": floats(8, 3, 3, 3)}), "tagger.onnx")
    return inspect_model(Path("tagger.onnx"))


def shown(found: Inspection) -> str:
    file = io.StringIO()
    show_inspection(found, Console(file=file, width=80, highlight=False, color_system=None))
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


def test_as_it_is_printed(found: Inspection, golden: Callable[[str, str], None]) -> None:
    golden("inspect/tagger.txt", shown(replace(found, profile=PROFILE)))


def test_eighty_columns_hold_everything_but_commands(found: Inspection) -> None:
    lines = shown(replace(found, profile=PROFILE)).splitlines()
    assert [line for line in lines if len(line) > 80 and not line.startswith("  optkit ")] == []


def test_names_in_brackets_are_no_markup(found: Inspection) -> None:
    assert "ids  int64 [batch, words]" in shown(found)


def test_many_operators_are_cut_short(found: Inspection) -> None:
    rows = tuple(OperatorTime(f"Op{n:02}", "CPU" if n % 2 else "CUDA", 1, 1e-3, 0.05) for n in range(20))
    text = shown(replace(found, profile=replace(PROFILE, operators=rows)))
    assert "8 others" in text
    assert "Op00 (CUDA)" in text
    assert "Op13" not in text
