from pathlib import Path

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
from optkit.passes.simplify_graph import SimplifyGraph
from optkit.stats.interval import Interval


def source(folder: Path, opset: int = 11) -> Artifact:
    rng = np.random.default_rng(0)
    proto = parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : {opset}]> g (float[N,3,8,8] x) => (float[N,4,6,6] y) {{
            i = Identity(x) c = Conv(i, w) b = BatchNormalization(c, s, s, s, s) y = Clip(b)
        }}"""
    )
    weights = {"w": rng.normal(size=(4, 3, 3, 3)).astype("f"), "s": rng.uniform(0.5, 1, 4).astype("f")}
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    path = folder / "model.onnx"
    onnx.save(proto, path)
    return read_artifact(path)


def test_the_simpler_model_answers_alike_and_says_what_was_done(tmp_path: Path) -> None:
    model = source(tmp_path)
    job, target = Job(model), tmp_path / "simple.onnx"
    SimplifyGraph().run(model, target, job)
    assert job.notes == {"nodes before": 4, "nodes after": 2, "checked on": "8 made-up inputs"}
    assert [node.op_type for node in onnx.load(target).graph.node] == ["Conv", "Clip"]
    x = np.random.default_rng(1).normal(size=(2, 3, 8, 8)).astype("f")
    before, after = (ort.InferenceSession(path).run(None, {"x": x})[0] for path in (model.path, target))
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)


def test_the_opset_is_raised_on_request_only(tmp_path: Path) -> None:
    model = source(tmp_path)
    target = tmp_path / "simple.onnx"
    SimplifyGraph().run(model, target, Job(model))
    assert onnx.load(target).opset_import[0].version == 11
    job = Job(model)
    SimplifyGraph(opset=17).run(model, target, job)
    assert onnx.load(target).opset_import[0].version == 17
    assert job.notes["opset"] == "converted from opset 11 to 17"


def test_a_wrong_simplification_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(model: ir.Model) -> ir.Model:
        tensor = model.graph.initializers["w"].const_value
        assert tensor is not None
        model.graph.initializers["w"].const_value = ir.tensor(tensor.numpy() * np.float32(1.01))
        return model

    monkeypatch.setattr("optkit.formats.onnx_simplify.simplify", spoil)
    model = source(tmp_path)
    with pytest.raises(NothingPaid, match="answers otherwise: output 'y' is off by"):
        SimplifyGraph().run(model, tmp_path / "simple.onnx", Job(model))


def test_the_same_bytes_each_time(tmp_path: Path) -> None:
    model = source(tmp_path)
    for name in ("one.onnx", "two.onnx"):
        SimplifyGraph().run(model, tmp_path / name, Job(model))
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()


def test_a_simpler_model_that_takes_longer_for_sure_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = source(tmp_path)
    for slower, refused in ((Interval(1.3, 1.1, 1.5), False), (Interval(1.9, 1.86, 1.93), True)):
        monkeypatch.setattr("optkit.quantization.variants.race.race", lambda *_, found=slower, **__: [Interval(1.0, 1.0, 1.0), found])
        if refused:
            with pytest.raises(NothingPaid, match=r"the simplified model takes 1\.90× the time of the original \(1\.86 to 1\.93\)"):
                SimplifyGraph().run(model, tmp_path / "simple.onnx", Job(model))
        else:
            SimplifyGraph().run(model, tmp_path / "simple.onnx", Job(model))
