"""The pass `quantize_static` on a small network: what it needs, what its parameters do, what it notes."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import numpy_helper, parser
from pydantic import ValidationError

from optkit.artifact import Artifact
from optkit.datasets import Examples
from optkit.errors import DataError, NothingPaid
from optkit.formats import read_artifact
from optkit.optimize import optimize
from optkit.passes import Job
from optkit.passes.quantize_static import QuantizeStatic

from .wrong_rewrite import with_twice_the_weights

GRAPH = """(float[N,8,8,8] x) => (float[N,6] y) {
    c = Conv<pads=[1,1,1,1]>(x, w, b) r = Relu(c) d = Conv<pads=[1,1,1,1]>(r, v) s = Add(d, r)
    p = GlobalAveragePool(s) f = Flatten(p) y = Gemm(f, k) }"""
IMAGES = np.random.default_rng(5).normal(size=(40, 8, 8, 8)).astype("f")


def network(opset: int = 17) -> onnx.ModelProto:
    draw = np.random.default_rng(0)
    shapes = {"w": (16, 8, 3, 3), "b": (16,), "v": (16, 16, 3, 3), "k": (16, 6)}
    proto = parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> g {GRAPH}')
    proto.graph.initializer.extend(numpy_helper.from_array((draw.normal(size=s) / 8).astype("f"), n) for n, s in shapes.items())
    return proto


@pytest.fixture
def source(tmp_path: Path) -> Artifact:
    onnx.save(network(), tmp_path / "model.onnx")
    return read_artifact(tmp_path / "model.onnx")


def answers(path: Path) -> Any:
    return ort.InferenceSession(path).run(None, {"x": IMAGES})[0]


def quantized(source: Artifact, target: str = "static.onnx", **parameters: Any) -> tuple[ir.Model, dict[str, Any]]:
    job = Job(source, Examples("images.npz", {"x": IMAGES}))
    parameters = {"ranges": "min_max", **parameters}
    path = source.path.with_name(target)
    QuantizeStatic(**parameters).run(source, path, job)
    return ir.load(path), job.notes


def counts(model: ir.Model) -> dict[str, int]:
    return {name: sum(n.op_type == name for n in model.graph) for name in ("QuantizeLinear", "DequantizeLinear")}


def test_close_answers_and_a_smaller_file(source: Artifact) -> None:
    before = source.path.read_bytes()
    quantized(source)
    assert source.path.read_bytes() == before
    target = source.path.with_name("static.onnx")
    assert target.stat().st_size < 0.65 * len(before)
    exact, found = answers(source.path), answers(target)
    assert 0 < ((found - exact) ** 2).sum() < 0.01 * (exact**2).sum()


def test_what_it_notes(source: Artifact) -> None:
    _, notes = quantized(source)
    assert notes["operators"] == {
        "Conv": {"static": 2},
        "Add": {"static": 1},
        "GlobalAveragePool": {"static": 1},
        "Flatten": {"static": 1},
        "Gemm": {"static": 1},
    }
    assert not any(name.startswith("measured") for name in notes)


@pytest.mark.slow
def test_without_regions_layers_alone_are_in_integers(source: Artifact) -> None:
    whole, _ = quantized(source)
    alone, notes = quantized(source, "alone.onnx", regions=False)
    assert notes["operators"] == {"Conv": {"static": 2}, "Gemm": {"static": 1}}
    assert counts(alone)["DequantizeLinear"] < counts(whole)["DequantizeLinear"]


def test_excluded_layers_stay_float(source: Artifact) -> None:
    _, notes = quantized(source, exclude=("Gemm", "Add"))
    assert notes["operators"] == {"Conv": {"static": 2}, "Gemm": {"float": 1}}


@pytest.mark.parametrize("ranges", get_args(QuantizeStatic.model_fields["ranges"].annotation))
def test_every_way_to_choose_ranges_works(source: Artifact, ranges: str) -> None:
    quantized(source, ranges=ranges)
    exact, found = answers(source.path), answers(source.path.with_name("static.onnx"))
    assert ((found - exact) ** 2).sum() < 0.05 * (exact**2).sum()


@pytest.mark.slow
def test_ranges_and_samples_reach_the_scales(source: Artifact) -> None:
    every: dict[str, dict[str, Any]] = {"mse": {"ranges": "mse"}, "all": {"ranges": "min_max"}, "few": {"ranges": "min_max", "samples": 3}}
    files = {
        name: (quantized(source, f"{name}.onnx", **given), source.path.with_name(f"{name}.onnx").read_bytes())[1]
        for name, given in every.items()
    }
    assert len(set(files.values())) == 3


def test_examples_are_used_evenly_and_no_more_than_asked(source: Artifact) -> None:
    told: list[tuple[str, int, int]] = []
    job = Job(source, Examples("images.npz", {"x": IMAGES}), progress=lambda *state: told.append(state))
    QuantizeStatic(samples=7).run(source, source.path.with_name("static.onnx"), job)
    assert max(done for what, done, total in told if what == "calibrating") == 7


@pytest.mark.slow
def test_the_same_bytes_each_time(source: Artifact) -> None:
    for name in ("one.onnx", "two.onnx"):
        quantized(source, name)
    assert source.path.with_name("one.onnx").read_bytes() == source.path.with_name("two.onnx").read_bytes()


def test_an_old_opset(tmp_path: Path) -> None:
    onnx.save(network(11), tmp_path / "model.onnx")
    model, notes = quantized(read_artifact(tmp_path / "model.onnx"))
    assert model.opset_imports[""] == 13
    assert notes["remarks"][0] == "converted from opset 11 to 13"


def test_weights_in_a_file_of_their_own(tmp_path: Path) -> None:
    onnx.save(network(), tmp_path / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    source = read_artifact(tmp_path / "model.onnx")
    exact = answers(source.path)
    quantized(source)
    (tmp_path / "weights.bin").unlink()
    found = answers(tmp_path / "static.onnx")
    assert ((found - exact) ** 2).sum() < 0.01 * (exact**2).sum()


def test_it_draws_calibration_examples(source: Artifact) -> None:
    with pytest.raises(DataError, match="the pass quantize_static needs calibration examples"):
        optimize(source, [QuantizeStatic()], target=source.path.with_name("static.onnx"))
    made = optimize(
        source,
        [QuantizeStatic()],
        target=source.path.with_name("static.onnx"),
        examples={"calibration": Examples("images.npz", {"x": IMAGES})},
    )
    assert made.lineage[-1].by == "quantize_static"
    assert made.lineage[-1].data is not None


def test_nothing_left_to_quantize(source: Artifact) -> None:
    with pytest.raises(NothingPaid, match="no convolution or matrix product with float weights is left"):
        quantized(source, exclude=("*",))


def test_twice_is_once_too_often(source: Artifact) -> None:
    quantized(source)
    with pytest.raises(NothingPaid, match="quantized already"):
        quantized(read_artifact(source.path.with_name("static.onnx")), "twice.onnx")


@pytest.mark.parametrize("wrong", [{"ranges": "widest"}, {"samples": 0}, {"bits": 4}, {"regions": "some"}])
def test_wrong_parameters(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        QuantizeStatic(**wrong)


def test_a_rewrite_that_changes_the_answers_is_not_used(source: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optkit.quantization.float_graph.prepare.simplify", with_twice_the_weights)
    quantized(source)
    exact, found = answers(source.path), answers(source.path.with_name("static.onnx"))
    assert ((found - exact) ** 2).sum() < 0.01 * (exact**2).sum()
