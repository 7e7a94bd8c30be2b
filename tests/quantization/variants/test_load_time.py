"""What is said of opening a model."""

from pathlib import Path

import pytest

from optkit.quantization.variants.load_time import seconds_to_open, waiting_remark

from ..tiny import draw, read


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [(0.84, 4.4, True), (0.01, 0.1, False), (4.0, 5.0, False), (4.4, 0.84, False), (0.3, 0.6, True)],
)
def test_only_what_somebody_notices_is_told(before: float, after: float, told: bool) -> None:
    said = waiting_remark(Path("a"), Path("b"), {Path("a"): before, Path("b"): after}.__getitem__)
    assert (said is not None) is told
    assert said is None or "the original" in said


def test_the_shorter_of_two_turns_counts() -> None:
    taken = iter([3.0, 1.0, 1.0, 3.0])
    assert waiting_remark(Path("a"), Path("b"), lambda path: next(taken)) is None


def test_a_file_is_opened(tmp_path: Path) -> None:
    from optkit.formats.onnx import save_model

    save_model(read("(float[N,4] x) => (float[N,4] y) { y = MatMul(x, w) }", w=draw(4, 4)), tmp_path / "m.onnx")
    assert seconds_to_open("cpu", 1)(tmp_path / "m.onnx") > 0
