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
from optkit.passes import Job
from optkit.passes.fuse_transformer import FuseTransformer

WIDTH = 8


def block(folder: Path) -> Artifact:
    """A layer norm, a linear layer with GELU, and the sum with what came in: as PyTorch exports them, in small operators."""
    rng = np.random.default_rng(0)
    proto = parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 14]> g (float[N,5,{WIDTH}] x) => (float[N,5,{WIDTH}] y) {{
            mean = ReduceMean<axes = [-1]>(x)   away = Sub(x, mean)   square = Pow(away, two)
            var = ReduceMean<axes = [-1]>(square)   safe = Add(var, tiny)   std = Sqrt(safe)
            unit = Div(away, std)   scaled = Mul(unit, gain)   norm = Add(scaled, shift)
            line = MatMul(norm, w)   biased = Add(line, bias)
            part = Div(biased, root)   bent = Erf(part)   more = Add(bent, one)   twice = Mul(biased, more)   gelu = Mul(twice, half)
            y = Add(gelu, x)
        }}"""
    )
    numbers: dict[str, Any] = {"two": 2, "tiny": 1e-5, "root": 1.41421356, "one": 1, "half": 0.5}
    weights = {name: np.array(value, "f") for name, value in numbers.items()}
    weights |= {name: rng.normal(size=WIDTH).astype("f") for name in ("gain", "shift", "bias")}
    weights["w"] = rng.normal(size=(WIDTH, WIDTH)).astype("f")
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    return saved(proto, folder)


def saved(proto: onnx.ModelProto, folder: Path) -> Artifact:
    onnx.save(proto, folder / "model.onnx")
    return read_artifact(folder / "model.onnx")


@pytest.mark.slow
def test_patterns_become_operators_that_answer_alike(tmp_path: Path) -> None:
    source = block(tmp_path)
    job, target = Job(source), tmp_path / "fused.onnx"
    FuseTransformer().run(source, target, job)
    assert job.notes["fused"] == {"BiasGelu": 1, "LayerNormalization": 1}
    assert job.notes["checked on"] == "8 made-up inputs"
    assert "ONNX Runtime only" in job.notes["runs on"]
    fused = onnx.load(target)
    assert {"BiasGelu", "LayerNormalization"} <= {node.op_type for node in fused.graph.node}
    assert fused.graph.output[0].type.tensor_type.shape.dim[0].dim_param == "N"
    x = np.random.default_rng(1).normal(size=(3, 5, WIDTH)).astype("f")
    before, after = (ort.InferenceSession(path).run(None, {"x": x})[0] for path in (source.path, target))
    np.testing.assert_allclose(after, before, atol=1e-5)


@pytest.mark.slow
def test_nothing_to_fuse_is_refused(tmp_path: Path) -> None:
    source = saved(
        parser.parse_model('<ir_version: 8, opset_import: ["" : 14]> g (float[N,3] x) => (float[N,3] y) { y = Relu(x) }'), tmp_path
    )
    with pytest.raises(NothingPaid, match="nothing to fuse"):
        FuseTransformer().run(source, tmp_path / "fused.onnx", Job(source))
    assert not (tmp_path / "fused.onnx").exists()


def test_a_wrong_fusion_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(model: ir.Model, family: str) -> tuple[ir.Model, dict[str, int]]:
        tensor = model.graph.initializers["w"].const_value
        assert tensor is not None
        model.graph.initializers["w"].const_value = ir.tensor(tensor.numpy() * np.float32(1.1))
        return model, {"Attention": 1}

    source = block(tmp_path)
    monkeypatch.setattr("optkit.formats.onnx_fuse.fuse", spoil)
    with pytest.raises(NothingPaid, match="the fused model answers otherwise: output 'y' is off by"):
        FuseTransformer().run(source, tmp_path / "fused.onnx", Job(source))
