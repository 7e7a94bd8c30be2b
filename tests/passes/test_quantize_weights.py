"""The pass `quantize_weights`: smaller and faithful, or a sentence that says why not."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper, parser

import optkit
from optkit.artifact import Artifact
from optkit.datasets import Examples
from optkit.errors import DataError, NothingPaid
from optkit.formats import read_artifact
from optkit.passes import Job
from optkit.passes.quantize_weights import QuantizeWeights
from optkit.stats.interval import Interval

GRAPH = """(int64[N,6] i) => (float[N,6,40] y) {
    e = Gather(table, i)
    a = MatMul(e, w1) b = Relu(a) c = MatMul(b, w2) d = Add(c, e)
    f = MatMul(d, w3) g = Tanh(f) y = MatMul(g, w4) }"""
SHAPES = {"table": (300, 64), "w1": (64, 256), "w2": (256, 64), "w3": (64, 128), "w4": (128, 40)}
I = np.random.default_rng(4).integers(0, 300, (64, 6))  # noqa: E741


def source_of(folder: Path, graph: str = GRAPH, **more: np.ndarray[Any, Any]) -> Artifact:
    draw = np.random.default_rng(0)
    proto = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> g {graph}')
    held = {n: (draw.normal(size=s) / np.sqrt(s[0] if n != "table" else 1)).astype("f") for n, s in SHAPES.items() if n in graph}
    proto.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in (held | more).items())
    onnx.save(proto, folder / "model.onnx")
    return read_artifact(folder / "model.onnx")


def quantized(source: Artifact, examples: Examples | None, **parameters: Any) -> tuple[Path, dict[str, Any]]:
    target, job = source.path.with_name("small.onnx"), Job(source, examples)
    QuantizeWeights(**parameters).run(source, target, job)
    return target, job.notes


def real() -> Examples:
    return Examples("data", {"i": I})


def bits_in(path: Path) -> list[int]:
    return sorted(next(a.i for a in n.attribute if a.name == "bits") for n in onnx.load(path).graph.node if n.domain == "com.microsoft")


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Times by what a graph multiplies with, in place of a race: the tests hang on no machine and are quick."""
    times = {"MatMulNBits": 0.9}

    def race(models: list[Path], *a: Any, **k: Any) -> list[Interval]:
        found = [max((times.get(n.op_type, 0) for n in onnx.load(m).graph.node), default=0) or 1.0 for m in models]
        return [Interval(t, t - 0.01, t + 0.01) for t in found]

    monkeypatch.setattr("optkit.quantization.choosing_blocks.trial.race", race)
    return times


@pytest.mark.slow
def test_four_bits_by_gptq_from_examples(tmp_path: Path) -> None:
    source = source_of(tmp_path)
    path, notes = quantized(source, real(), min_sqnr=10)
    assert path.stat().st_size < 0.25 * source.path.stat().st_size
    assert bits_in(path) == [4] * 5
    assert notes["algorithm"] == "gptq"
    assert notes["calibrated_on"] == 48
    assert notes["operators"] == {"Gather": {"4 bits": 1}, "MatMul": {"4 bits": 4}}
    assert 0 < notes["measured_cost"] < 1 - notes["measured_agreement"]
    algorithms = notes["measured_algorithms"]
    assert algorithms["gptq"] == max(algorithms.values())
    assert algorithms.keys() == {"rtn", "hqq", "gptq"}
    before, after = (ort.InferenceSession(p).run(None, {"i": I})[0] for p in (source.path, path))
    noise = ((before - after) ** 2).sum() / before.var() / before.size
    assert -10 * np.log10(noise) == pytest.approx(notes["measured_sqnr"], abs=1.5)


def test_half_precision_is_computed_in_float32(tmp_path: Path) -> None:
    graph = "(float16[N,64] x) => (float16[N,40] y) { c = MatMul(x, w3) g = Tanh(c) y = MatMul(g, w4) }"
    source = source_of(tmp_path, graph)
    model = onnx.load(source.path)
    held = [numpy_helper.from_array(numpy_helper.to_array(t).astype(np.float16), t.name) for t in model.graph.initializer]
    del model.graph.initializer[:]
    model.graph.initializer.extend(held)
    onnx.save(model, source.path)
    x = np.random.default_rng(5).normal(size=(48, 64)).astype(np.float16)
    path, notes = quantized(read_artifact(source.path), Examples("data", {"x": x}), bits=8)
    assert path.stat().st_size < 0.65 * source.path.stat().st_size
    assert notes["remarks"][0] == "its half precision was turned into float32 first, but for inputs and outputs"
    before, after = (ort.InferenceSession(p).run(None, {"x": x})[0] for p in (source.path, path))
    assert after.dtype == np.float16
    np.testing.assert_allclose(after, before, atol=0.1)


@pytest.mark.slow
def test_what_would_be_slower_packed_is_small_in_the_file_only(tmp_path: Path, clock: dict[str, float]) -> None:
    source = source_of(tmp_path)
    clock["MatMulNBits"] = 1.3
    path, notes = quantized(source, real())
    assert bits_in(path) == []
    assert "when it loads" in notes["speed"]
    assert path.stat().st_size < 0.25 * source.path.stat().st_size
    with pytest.raises(NothingPaid, match=r"1\.30× the time"):
        quantized(source, real(), form="packed")
    path, notes = quantized(source, real(), form="packed", accept_size_only=True)
    assert len(bits_in(path)) == 5
    assert notes["measured_ratio"] == [1.3, 1.29, 1.31]


@pytest.mark.slow
def test_weights_that_need_it_get_eight(tmp_path: Path) -> None:
    path, notes = quantized(source_of(tmp_path), real(), min_sqnr=24.0)
    bits = bits_in(path)
    assert set(bits) == {4, 8}
    counted = {bits: sum(ways.get(bits, 0) for ways in notes["operators"].values()) for bits in ("4 bits", "8 bits")}
    assert counted == {"4 bits": bits.count(4), "8 bits": bits.count(8)}
    assert notes["measured_sqnr"] >= 26
    assert "4- and 8-bit weights in groups of 32" in notes["how"]


@pytest.mark.slow
def test_four_bits_and_nothing_else(tmp_path: Path) -> None:
    with pytest.raises(NothingPaid, match="4-bit weights lose too much"):
        quantized(source_of(tmp_path), real(), bits=4, min_sqnr=40.0)


@pytest.mark.slow
def test_not_even_eight_bits_do(tmp_path: Path) -> None:
    with pytest.raises(NothingPaid, match="lose too much here, even in the most faithful variant: it keeps"):
        quantized(source_of(tmp_path), real(), min_sqnr=90.0)


@pytest.mark.slow
@pytest.mark.parametrize(("parameters", "bits"), [({"bits": 8}, 8), ({"symmetric": True, "group_size": 64}, 4), ({"algorithm": "hqq"}, 4)])
def test_as_asked(tmp_path: Path, parameters: dict[str, Any], bits: int) -> None:
    path, notes = quantized(source_of(tmp_path), real(), form="packed", min_sqnr=5, **parameters)
    assert bits_in(path) == [bits] * 5
    nodes = [n for n in onnx.load(path).graph.node if n.op_type == "MatMulNBits"]
    assert all(next(a.i for a in n.attribute if a.name == "block_size") == parameters.get("group_size", 32) for n in nodes)
    assert all(len(n.input) == (3 if parameters.get("symmetric") else 4) for n in nodes)
    assert notes["algorithm"] == ("rtn" if bits == 8 else parameters.get("algorithm", "gptq"))


def test_without_data_no_gptq(tmp_path: Path) -> None:
    graph = "(float[N,64] x) => (float[N,40] y) { a = MatMul(x, w3) b = Relu(a) y = MatMul(b, w4) }"
    source = source_of(tmp_path, graph)
    _, notes = quantized(source, None, min_sqnr=10)
    assert notes["measured_algorithms"].keys() == {"rtn", "hqq"}
    assert notes["judged_on"] == "made-up inputs"
    assert notes["calibrated_on"] == 0
    with pytest.raises(DataError, match="GPTQ learns from examples"):
        quantized(source, None, algorithm="gptq")


@pytest.mark.slow
def test_embeddings_and_layers_can_be_left_out(tmp_path: Path) -> None:
    source = source_of(tmp_path)
    path, _ = quantized(source, real(), embeddings=False, exclude=("*MatMul*1*", "node_missing"))
    graph = onnx.load(path).graph
    kinds = [n.op_type for n in graph.node]
    assert "GatherBlockQuantized" not in kinds
    assert "Gather" in kinds
    assert next(t for t in graph.initializer if t.name == "table").data_type == onnx.TensorProto.FLOAT


def test_a_limit_on_the_score(tmp_path: Path) -> None:
    source = source_of(tmp_path, "(float[N,64] x) => (float[N,40] y) { a = MatMul(x, w3) b = Relu(a) y = MatMul(b, w4) }")
    x = np.random.default_rng(0).normal(size=(80, 64)).astype("f")
    labels = ort.InferenceSession(source.path).run(None, {"x": x})[0].argmax(-1)
    _, notes = quantized(source, Examples("data", {"x": x}, labels=labels), max_drop=0.2)
    assert notes["measured_drop"] <= 0.2
    with pytest.raises(DataError, match="labelled"):
        quantized(source, None, max_drop=0.1)


@pytest.mark.parametrize(
    ("graph", "why"),
    [
        ("(float[N,4,8,8] x) => (float[N,8,6,6] y) { y = Conv(x, k) }", "no weights that can be held"),
        ("(float[N,64] x) => (float[N,40] y) { q, s, z = DynamicQuantizeLinear(x) y = MatMul(x, w) }", "quantized already"),
    ],
)
def test_refusals(tmp_path: Path, graph: str, why: str) -> None:
    draw = np.random.default_rng(0)
    given = {"k": draw.normal(size=(8, 4, 3, 3)).astype("f")} if "Conv" in graph else {"w": draw.normal(size=(64, 40)).astype("f")}
    with pytest.raises(NothingPaid, match=why):
        quantized(source_of(tmp_path, graph, **given), None)


@pytest.mark.slow
def test_the_same_bytes_each_time(tmp_path: Path) -> None:
    source = source_of(tmp_path)
    first = quantized(source, real(), form="stored")[0].read_bytes()
    assert quantized(source, real(), form="stored")[0].read_bytes() == first


@pytest.mark.slow
def test_where_answers_are_the_same(tmp_path: Path) -> None:
    source = source_of(tmp_path)
    assert quantized(source, real(), form="stored")[1]["safe_on"] == ["x86-64", "arm64"]
    assert quantized(source, real(), bits=8)[1]["safe_on"] == ["x86-64"]


def test_other_large_weights_are_stored_in_eight_bits(tmp_path: Path) -> None:
    graph = """(float[N,4,8,8] x) => (float[N,40] y) {
        c = Conv<pads=[1,1,1,1]>(x, k) r = Relu(c) g = GlobalAveragePool(r) f = Flatten(g) m = MatMul(f, w3) y = MatMul(m, w4) }"""
    kernel = np.random.default_rng(2).normal(size=(64, 4, 3, 3)).astype("f") / 6
    source = source_of(tmp_path, graph, k=kernel)
    path, notes = quantized(source, None, min_sqnr=5)
    assert notes["how"].endswith("; other large weights are stored in 8 bits")
    assert any(t.data_type == onnx.TensorProto.INT8 and tuple(t.dims) == kernel.shape for t in onnx.load(path).graph.initializer)


def test_float16_models_and_branches(tmp_path: Path) -> None:
    weight = (np.random.default_rng(2).normal(size=(64, 80)) / 8).astype(np.float16)
    graph = """(float16[N,64] x, bool k) => (float16[N,80] y) {
        y = If (k) <then_branch = t () => (float16[N,80] p) { p = MatMul(x, w) },
                    else_branch = e () => (float16[N,80] q) { h = MatMul(x, v) q = Relu(h) }> }"""
    source = source_of(tmp_path, graph, w=weight, v=weight[::-1].copy())
    x = np.random.default_rng(3).normal(size=(20, 64)).astype(np.float16)
    examples = Examples("data", {"x": x[:, None], "k": np.arange(20) % 2 == 0}, whole=True)
    path, notes = quantized(source, examples, min_sqnr=10)
    assert notes["operators"] == {"MatMul": {"4 bits": 2}}
    for k in (True, False):
        before, after = (ort.InferenceSession(p).run(None, {"x": x, "k": np.array(k)})[0].astype(float) for p in (source.path, path))
        assert ((before - after) ** 2).sum() < 0.02 * (before**2).sum()


@pytest.mark.slow
def test_as_a_function(tmp_path: Path) -> None:
    source = source_of(tmp_path)
    made = optkit.quantize(source.path, precision="int4", data=real(), min_sqnr=10, group_size=64, cache=False)
    assert made.path.name == "model.int4.onnx"
    assert made.lineage[-1].notes["how"].startswith("4-bit weights in groups of 64")
    made = optkit.quantize(source.path, precision="bf16", data=real(), cache=False)
    assert made.path.name == "model.bf16.onnx"
    assert made.lineage[-1].notes["bfloat16 weights"] == 5
