"""How layers are told: in the terminal, in Markdown, as JSON."""

import json
from collections.abc import Callable
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest

from optkit.layers import Layer, LayerComparison
from optkit.report import SCHEMA, Report, load_report, save_report
from optkit.reports import markdown
from optkit.reports._layers import MOST_ROWS, advice, bar, rows_of, sentences, shortened
from optkit.reports.json import render as as_json
from optkit.reports.terminal import render

Golden = Callable[[str, str], None]


def layer(number: int, sqnr: float, effect: float | None = None, **more: object) -> Layer:
    name = f"/encoder/layer.{number}/attention/output/dense/MatMul"
    made = Layer(
        f"{name}_output_0", name, "MatMul", f"{name}_output_0_dequantized", "name", sqnr, 120.0 if effect is None else sqnr, effect
    )
    return replace(made, **more)  # type: ignore[arg-type]


LAYERS = (
    layer(0, 120.0),
    layer(1, 38.2, 44.0, exclude=("node_1",)),
    layer(2, 17.3, 18.1, exclude=("node_2", "node 3 [[]a]")),
    layer(3, 12.6, operator="Softmax"),
    layer(4, 12.6, operator="Reshape"),
    layer(5, -inf, matched="values"),
    layer(6, 21.0, 55.0, node="", tensor="y"),
)
FOUND = LayerComparison(
    "model.onnx",
    "model.int8.onnx",
    "models/model.onnx",
    "data.npz",
    16,
    "int8",
    LAYERS,
    21.0,
    {"not in the other model: fused, folded or left out": 32, "inside branches and loops, which are not looked into": 1},
)


def report(*found: LayerComparison) -> Report:
    return Report(SCHEMA, "a → b", "2026-01-02T03:04:05+00:00", (), (), layers=found)


def many(count: int) -> LayerComparison:
    layers = [layer(i, 60.0 - i / 5, 90.0 - i / 5) for i in range(count)]
    layers[count // 2] = layer(count // 2, 11.0, 11.0)
    return replace(FOUND, layers=tuple(layers))


def test_reads_at_eighty_columns(golden: Golden) -> None:
    text = render(report(FOUND, many(100)))
    golden("reports/layers.txt", text)
    assert max(map(len, text.splitlines())) <= 80


def test_markdown(golden: Golden) -> None:
    golden("reports/layers.md", markdown.render(report(FOUND)))


def test_colour_adds_nothing_but_colour() -> None:
    import re

    coloured = render(report(FOUND), 100, colour=True)
    assert "\x1b[31m" in coloured
    plain = "\n".join(line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", coloured).splitlines())
    assert plain.strip() == render(report(FOUND), 100).strip()


def test_a_report_with_layers_is_read_back(tmp_path: Path) -> None:
    save_report(report(FOUND), tmp_path / "report.json")
    assert load_report(tmp_path / "report.json") == report(FOUND)
    assert json.loads(as_json(report(FOUND)))["layers"][0]["layers"][2]["sqnr"] == 17.3


def test_a_report_from_before_there_were_layers_is_read(tmp_path: Path) -> None:
    old = {"schema": SCHEMA, "title": "a → b", "created": "", "measurements": [], "comparisons": [], "verdict": None, "notes": []}
    (tmp_path / "old.json").write_text(json.dumps(old))
    assert load_report(tmp_path / "old.json").layers == ()


def test_long_tables_are_shortened_and_keep_what_matters() -> None:
    found = many(1000)
    rows = rows_of(found)
    shown = [row for row in rows if isinstance(row, Layer)]
    assert len(rows) <= MOST_ROWS
    assert {found.layers[0], found.layers[-1], found.first_bad, found.worst[0][0]} <= set(shown)
    assert sum(1 if isinstance(row, Layer) else row.layers for row in rows) == 1000
    assert [found.layers.index(row) for row in shown] == sorted(found.layers.index(row) for row in shown)


def test_what_only_passes_on_has_no_row() -> None:
    assert [row.operator for row in rows_of(FOUND) if isinstance(row, Layer)].count("Reshape") == 0


@pytest.mark.parametrize(("sqnr", "drawn"), [(120, "████"), (45, "███·"), (19.9, "█··· bad"), (-5, "···· bad"), (-inf, "···· bad")])
def test_bars_read_without_colour(sqnr: float, drawn: str) -> None:
    assert bar(sqnr, 4) == drawn


def test_commands_can_be_copied() -> None:
    import shlex

    what, *lines = advice(FOUND)
    assert what.endswith(":")
    words = shlex.split("\n".join(lines).replace("\\\n", " "))
    assert words == (
        ["optkit", "quantize", "models/model.onnx", "--int8", "--data", "data.npz", "--exclude", "node_2", "--exclude", "node 3 [[]a]"]
    )


def test_advice_suits_what_the_model_is() -> None:
    fine = replace(FOUND, layers=LAYERS[:2])
    assert advice(fine) == []
    assert "Hint" not in markdown.render(report(fine))
    assert "No bad layer" in "\n".join(sentences(fine))
    assert "{keep: [MatMul]}" in advice(replace(FOUND, precision="fp16"))[1]
    assert "look at how" in advice(replace(FOUND, precision=""))[0]
    assert "--data DATA" in "\n".join(advice(replace(FOUND, data="")))
    assert next(sentences(replace(FOUND, layers=LAYERS[:1]))) == "All layers are identical."


def test_good_answers_need_no_advice() -> None:
    good = replace(FOUND, answers=39.3)
    assert advice(good) == []
    assert "The outputs are at 39.3 dB, with everything changed." in list(sentences(good))


def test_a_layer_that_makes_up_for_others_is_not_blamed() -> None:
    made_up = layer(7, 39.0, 15.0, own=18.0, exclude=("node_7",))
    found = replace(FOUND, layers=(*LAYERS, made_up))
    assert made_up not in [blamed for blamed, _ in found.worst]
    assert "node_7" not in "\n".join(advice(found))
    assert any(line.startswith("1 not counted there: worse alone") for line in sentences(found))


def test_names_keep_their_end() -> None:
    assert shortened("/encoder/layer.3/dense/MatMul", 14) == "…/dense/MatMul"
    assert shortened("/dense/MatMul", 14) == "/dense/MatMul"
