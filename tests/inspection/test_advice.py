from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from onnx import parser

from optkit.inspection import Advice, Can, Operator, OperatorTime, Part, Profile, Work
from optkit.inspection.advice import LITTLE_SMALLER, NOT_TIMED, as_estimated, give_advice, limit_of, naming_data
from optkit.inspection.inspect_model import inspect_model
from optkit.inspection.under_roof import Prediction
from optkit.inspection.values import Stored

MODEL = Path("my model.onnx")


def advice(parts: list[Part], operators: tuple[Operator, ...] = (), others: int = 0) -> list[Advice]:
    stored = [Stored(str(n), "float32", 1, size) for n, size in enumerate([*(p.weight_bytes for p in parts), others])]
    work = Work(sum(p.macs for p in parts), {}, {}, {})
    return list(give_advice(MODEL, operators, parts, work, stored))


def part(operator: str, size: int, can: Can = "int8", macs: int = 100, now: str = "float32") -> Part:
    return Part(operator, 1, size, macs, now, can)


def test_what_computes_in_integers_pays_most() -> None:
    (only,) = advice([part("Conv", 900), part("Gemm", 100)])
    assert only.what == f"Conv and Gemm do 100% of the work and hold 100% of the weight bytes: {NOT_TIMED}"
    assert only.command == "optkit quantize 'my model.onnx' --int8 --data DATA"


def test_one_operator_is_singular_and_little_is_called_little() -> None:
    (only,) = advice([part("Gemm", 100)], others=900)
    assert only.what == f"Gemm does 100% of the work and holds 10.0% of the weight bytes: {LITTLE_SMALLER}"


def test_storage_in_integers_is_not_called_faster() -> None:
    (only,) = advice([part("GRU", 900, "int8 weights"), part("Gather", 100, "int8 weights")])
    assert only.what.endswith("as 8-bit integers they make the file smaller, not faster.")


def test_a_command_that_serves_two_sentences_is_shown_once() -> None:
    first, second = advice([part("MatMul", 600), part("Gather", 400, "int8 weights", 0)])
    assert first.command is None
    assert second.command == "optkit quantize 'my model.onnx' --int8 --data DATA"


def test_what_is_quantized_is_left_alone() -> None:
    (only,) = advice([part("MatMul", 900, "done", now="int8"), part("Gather", 100)])
    assert only == Advice("It is quantized: 90.0% of the weight bytes are in 8 bits or fewer.")


def test_integers_that_are_only_stored_are_told_from_those_that_compute() -> None:
    (only,) = advice([part("MatMul", 900, "done", now="int8 weights")])
    assert only.what.endswith("MatMul still computes in float: for integers, quantize the float model that it was made from.")


def test_other_types_and_nothing_at_all() -> None:
    assert advice([part("MatMul", 900, "nothing", now="float64")]) == [
        Advice("No operator here has weights that could become smaller or faster.")
    ]
    trees = (Operator("ai.onnx.ml", "TreeEnsembleClassifier", 1, 0),)
    assert "nothing to quantize" in advice([], trees, others=100)[0].what


def test_what_can_be_folded() -> None:
    operators = (
        Operator("", "Identity", 12, 0),
        Operator("", "Conv", 3, 9),
        Operator("mine", "Dropout", 3, 0),
        Operator("", "Dropout", 1, 0),
    )
    found = advice([part("Conv", 900)], operators)[-1]
    assert found == Advice("12 Identity and 1 Dropout may be folded away.", "optkit simplify 'my model.onnx'")


def profile(**shares: float) -> Profile:
    rows = tuple(OperatorTime(name, "CPU", 1, share, share) for name, share in shares.items())
    return Profile("cpu", 1, 10, "data", 1.0, rows, 0.0)


@pytest.mark.parametrize(
    ("shares", "says"),
    [
        ({"FusedConv": 0.5, "Softmax": 0.5}, "Conv takes 50.0% of the time: INT8 cannot make it more than 2.0× as fast."),
        ({"FusedConv": 0.75, "Conv": 0.15, "Softmax": 0.1}, "Conv takes 90.0% of the time: INT8 cannot make it more than 10.0× as fast."),
        ({"Softmax": 1.0}, None),
        ({"Conv": 1.0}, None),
    ],
)
def test_no_speed_up_beyond_what_is_sped_up(shares: dict[str, float], says: str | None) -> None:
    found = limit_of(profile(**shares), [part("Conv", 900), part("LSTM", 100, "int8 weights")])
    assert (found.what if found else None) == says


@pytest.mark.parametrize(
    ("others", "speedup", "says"),
    [
        (0, 1.83, "INT8 makes it smaller and about 1.8× as fast, where its answers hold."),
        (0, 1.02, "INT8 makes it smaller, but no faster."),
        (9000, 1.83, "INT8 makes it little smaller but about 1.8× as fast, where its answers hold."),
        (9000, 1.0, "INT8 makes it little smaller and no faster."),
    ],
)
def test_advice_says_what_the_roofline_expects(others: int, speedup: float, says: str) -> None:
    (before,) = advice([part("Conv", 900)], others=others)
    (after,) = as_estimated([before], [Prediction("FP16", 9.0, "", None), Prediction("INT8", speedup, "", None)])
    assert after.what.endswith(f": {says}")
    assert after.command == before.command


def test_commands_name_the_data_that_was_given(tmp_path: Path) -> None:
    given = [Advice("a", "optkit quantize m.onnx --int8 --data DATA"), Advice("b", "optkit simplify m.onnx"), Advice("c")]
    graph = parser.parse_model('<ir_version: 8, opset_import: ["" : 17]> g (float[N,4] x) => (float[N,4] y) { y = Relu(x) }')
    onnx.save(graph, tmp_path / "m.onnx")
    found = replace(inspect_model(tmp_path / "m.onnx"), advice=tuple(given))
    assert [each.command for each in naming_data(found, "my data.npz[:64]").advice] == [
        "optkit quantize m.onnx --int8 --data 'my data.npz[:64]'",
        "optkit simplify m.onnx",
        None,
    ]
