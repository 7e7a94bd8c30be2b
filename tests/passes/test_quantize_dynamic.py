"""The pass `quantize_dynamic` on a small network, in branches too, without any data."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import numpy_helper, parser

from optkit.artifact import Artifact
from optkit.errors import NothingPaid
from optkit.formats import read_artifact
from optkit.optimize import optimize
from optkit.passes import Job
from optkit.passes.quantize_dynamic import QuantizeDynamic

from .wrong_rewrite import with_twice_the_weights

PRODUCTS = "(float[N,48] x) => (float[N,48] y) { a = Gemm(x, w, b) r = Relu(a) m = MatMul(r, v) c = Mul(m, m) y = MatMul(c, w) }"
BRANCHES = """(float[2,48] x, bool k) => (float[2,48] y) {
    y = If (k) < then_branch = t () => (float[2,48] p) { p = MatMul(x, w) },
                 else_branch = e () => (float[2,48] q) { q = Gemm<transB=1>(x, v, b) } > }"""
CONVOLUTION = "(float[N,8,8,8] x) => (float[N,32,8,8] y) { y = Conv(x, k) }"
X = np.random.default_rng(5).normal(size=(2, 48)).astype("f")


def source_of(folder: Path, graph: str) -> Artifact:
    draw = np.random.default_rng(0)
    proto = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> g {graph}')
    shapes = {"w": (48, 48), "v": (48, 48), "b": (48,), "k": (32, 8, 3, 3)}
    read = graph.replace("(", " ").replace(")", " ").replace(",", " ").split()
    proto.graph.initializer.extend(
        numpy_helper.from_array((draw.normal(size=s) / 7).astype("f"), n)
        for n, s in shapes.items()
        if n in read and f"bool {n}" not in graph
    )
    onnx.save(proto, folder / "model.onnx")
    return read_artifact(folder / "model.onnx")


def quantized(source: Artifact, target: str = "dynamic.onnx", **parameters: Any) -> tuple[ir.Model, dict[str, Any]]:
    job = Job(source)
    QuantizeDynamic(**parameters).run(source, source.path.with_name(target), job)
    return ir.load(source.path.with_name(target)), job.notes


def answers(path: Path, **feed: Any) -> Any:
    return ort.InferenceSession(path).run(None, feed)[0]


def count(model: ir.Model, op_type: str) -> int:
    return sum(n.op_type == op_type for n in model.graph.all_nodes())


def test_products_become_integer_products(tmp_path: Path) -> None:
    source = source_of(tmp_path, PRODUCTS)
    model, notes = quantized(source)
    assert (count(model, "MatMulInteger"), count(model, "MatMul"), count(model, "Gemm")) == (3, 0, 0)
    assert notes["operators"] == {"Gemm": {"dynamic": 1}, "MatMul": {"dynamic": 2}}
    exact, found = answers(source.path, x=X), answers(tmp_path / "dynamic.onnx", x=X)
    assert 0 < ((found - exact) ** 2).sum() < 0.01 * (exact**2).sum()
    # one weight serves two layers, before and after
    assert (tmp_path / "dynamic.onnx").stat().st_size < 0.45 * source.path.stat().st_size


@pytest.mark.parametrize("k", [True, False])
def test_branches_too(tmp_path: Path, k: bool) -> None:
    source = source_of(tmp_path, BRANCHES)
    model, _ = quantized(source)
    assert count(model, "MatMulInteger") == 2
    exact, found = (answers(p, x=X, k=np.array(k)) for p in (source.path, tmp_path / "dynamic.onnx"))
    assert 0 < ((found - exact) ** 2).sum() < 0.01 * (exact**2).sum()


def test_excluded_products_keep_their_form(tmp_path: Path) -> None:
    model, notes = quantized(source_of(tmp_path, PRODUCTS), exclude=("Gemm",))
    assert (count(model, "MatMulInteger"), count(model, "Gemm")) == (2, 1)
    assert notes["operators"] == {"Gemm": {"float": 1}, "MatMul": {"dynamic": 2}}


def test_convolutions_are_not_its_business(tmp_path: Path) -> None:
    with pytest.raises(NothingPaid, match="no matrix product with float weights is left") as caught:
        quantized(source_of(tmp_path, CONVOLUTION))
    assert caught.value.hint == "convolutions need quantize_static and calibration data"


def test_no_data_is_drawn_and_the_bytes_are_the_same(tmp_path: Path) -> None:
    source = source_of(tmp_path, PRODUCTS)
    made = [optimize(source, [QuantizeDynamic()], target=tmp_path / name) for name in ("one.onnx", "two.onnx")]
    assert made[0].digest == made[1].digest
    assert made[0].lineage[-1].data is None
    assert QuantizeDynamic.draws is None


def test_twice_is_once_too_often(tmp_path: Path) -> None:
    quantized(source_of(tmp_path, PRODUCTS))
    with pytest.raises(NothingPaid, match="it is quantized already: it has DynamicQuantizeLinear, MatMulInteger"):
        quantized(read_artifact(tmp_path / "dynamic.onnx"), "twice.onnx")


def test_a_rewrite_that_changes_the_answers_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of(tmp_path, PRODUCTS)
    monkeypatch.setattr("optkit.quantization.float_graph.prepare.simplify", with_twice_the_weights)
    quantized(source)
    exact, found = answers(source.path, x=X), answers(tmp_path / "dynamic.onnx", x=X)
    assert ((found - exact) ** 2).sum() < 0.01 * (exact**2).sum()
