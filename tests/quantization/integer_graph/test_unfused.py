"""What ONNX Runtime leaves in float between Q and DQ."""

from pathlib import Path

import pytest

from optkit.quantization.integer_graph.unfused import left_in_float, told
from optkit.quantization.variants.build import build
from optkit.quantization.variants.calibrate import calibrate
from optkit.quantization.variants.treatment import Treatment, Way
from optkit.quantization.variants.trial import Bench
from optkit.quantization.variants.wishes import Wishes

from ..tiny import draw, read, saved, watcher

SOUND = """c = Conv(x, w) s = Sigmoid(c) m = Mul(c, s) p = MaxPool<kernel_shape=[1,1]>(m)
    a, b = Split<axis=1>(p) k = Concat<axis=1>(b, a) y = Conv(k, w)"""


def left(graph: str, names: str, folder: Path) -> set[str]:
    model = read(f"(float[1,8,6,6] x) => (float[1,8,6,6] y) {{ {graph} }}", w=draw(8, 8, 1, 1))
    treatment = Treatment("all", dict.fromkeys(names, Way.STATIC), ends=True)
    learned = calibrate(model, [treatment], watcher(x=draw(6, 8, 6, 6)), "min_max")
    path = folder / "made.onnx"
    path.write_bytes(saved(build(model, treatment, learned)))
    return left_in_float(model, set(names), path, 1)


def test_a_region_is_taken_in_whole(tmp_path: Path) -> None:
    assert left(SOUND, "csmpaky", tmp_path) == set()


def test_what_is_read_as_floats_before_its_integers_is_found(tmp_path: Path) -> None:
    model = read(
        "(float[1,8,6,6] x) => (float[1,8,6,6] y, float[1,8,6,6] z) { c = Conv(x, w) y = Conv(c, w) z = Neg(c) }", w=draw(8, 8, 1, 1)
    )
    treatment = Treatment("all", dict.fromkeys("cy", Way.STATIC))
    made = build(model, treatment, calibrate(model, [treatment], watcher(x=draw(6, 8, 6, 6)), "min_max"))
    float_c = next(n for n in made.graph if n.op_type == "Conv").outputs[0]
    next(n for n in made.graph if n.op_type == "Neg").replace_input_with(0, float_c)  # a second reader of the floats: no fusion
    (tmp_path / "made.onnx").write_bytes(saved(made))
    assert left_in_float(model, {"c", "y"}, tmp_path / "made.onnx", 1) == {"c"}


def test_it_is_given_back_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One node after the other, until nothing is left that is only quantized around."""
    model = read(f"(float[1,8,6,6] x) => (float[1,8,6,6] y) {{ {SOUND} }}", w=draw(8, 8, 1, 1))
    path, feeds = tmp_path / "original.onnx", [{"x": each[None]} for each in draw(6, 8, 6, 6)]
    path.write_bytes(saved(model))
    treatment = Treatment("all", dict.fromkeys("csmpaky", Way.STATIC))
    learned = calibrate(model, [treatment], watcher(x=draw(6, 8, 6, 6)), "min_max")
    (tmp_path / "variants").mkdir()
    bench = Bench(path, model, learned, feeds, tmp_path / "variants", "cpu", 1, 0, Wishes().judge)
    found = iter([{"k"}, {"p"}, set()])
    monkeypatch.setattr("optkit.quantization.variants.trial.left_in_float", lambda *_: next(found))
    trial = bench.attempt(treatment)
    assert trial is not None
    assert trial.treatment.given_back == {"k", "p"}
    assert not {"k", "p"} & trial.treatment.ways.keys()
    assert [file.name for file in (tmp_path / "variants").iterdir()] == [trial.path.name]
    assert told(model, trial.treatment.given_back) == "in float, because ONNX Runtime takes no integers there: 1 Concat, 1 MaxPool (k, p)"
    assert told(model, set()) is None
