"""What is moved in integers and read inside a branch: the file opens, which ONNX Runtime may refuse by ending the process."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

from optkit.formats.onnx import save_model
from optkit.quantization.integer_graph.moves_into_bodies import move_integers_into_bodies
from optkit.quantization.variants.build import build
from optkit.quantization.variants.calibrate import calibrate
from optkit.quantization.variants.candidates import candidates

from ..tiny import draw, read, watcher

BRANCHES = """b = If(c) <then_branch = yes () => (float[A,B,C] p) { p = Neg(m) }, else_branch = no () => (float[A,B,C] q) { q = Abs(m) }>"""
OPENS = "import sys, onnxruntime; onnxruntime.InferenceSession(sys.argv[1])"


def network(moves: str) -> ir.Model:
    return read(
        f"""(float[1,3,8,8] x, bool c) => (float[D,E,F] y) {{
            h = Conv(x, w) r = Relu(h) {moves} {BRANCHES} y = Exp(b) }}""",
        w=draw(4, 3, 3, 3),
        shape=np.array([4, 6, 6]),
        zero=np.array([0]),
        ends=np.array([5]),
        axis=np.array([2]),
    )


def quantized(model: ir.Model) -> ir.Model:
    treatment = next(t for t in candidates(model, "static", calibrated=True) if t.calibrated)
    held = watcher(x=draw(40, 3, 8, 8), c=np.arange(40) % 2 == 0)
    return build(model, treatment, calibrate(model, [treatment], held, "min_max"))


MOVES = ["m = Reshape(r, shape)", "s = Squeeze(r, zero) m = Slice(s, zero, ends, axis)"]


@pytest.mark.parametrize("moves", MOVES)
@pytest.mark.parametrize("chosen", [True, False])
def test_the_file_opens_and_answers_as_before(tmp_path: Path, moves: str, chosen: bool) -> None:
    model = network(moves)
    made = quantized(model)
    save_model(made, tmp_path / "m.onnx")
    opened = subprocess.run([sys.executable, "-c", OPENS, str(tmp_path / "m.onnx")], capture_output=True, text=True, check=False)
    assert opened.returncode == 0, opened.stderr
    feed = {"x": draw(1, 3, 8, 8, seed=50), "c": np.array(chosen)}
    (truth,) = list(ReferenceEvaluator(ir.to_proto(model)).run(None, feed))
    got = onnxruntime.InferenceSession(tmp_path / "m.onnx").run(None, feed)[0]
    assert np.abs(np.log(truth) - np.log(got)).max() < 0.1 * np.abs(np.log(truth)).max()


@pytest.mark.parametrize("moves", MOVES)
def test_integers_are_moved(moves: str) -> None:
    made = quantized(network(moves))
    (behind,) = (node for node in made.graph if node.op_type == "If")
    inner = next(iter(behind.attributes["then_branch"].as_graph()))
    maker = inner.inputs[0].producer()  # type: ignore[union-attr]
    assert maker is not None
    assert maker.op_type == "DequantizeLinear"
    moved = maker.inputs[0].producer()  # type: ignore[union-attr]
    assert moved is not None
    assert moved.op_type in ("Reshape", "Slice")
    assert moved.inputs[0].producer().op_type in ("QuantizeLinear", "Squeeze")  # type: ignore[union-attr]


def test_what_no_branch_reads_stays() -> None:
    text = """(uint8[1,8] x) => (float[N] y) {
        f = DequantizeLinear(x, s, z) m = Reshape(f, shape) y = Exp(m) }"""
    model = read(text, s=np.float32(0.1), z=np.uint8(3), shape=np.array([8]))
    before = [node.op_type for node in model.graph]
    move_integers_into_bodies(model)
    assert [node.op_type for node in model.graph] == before
