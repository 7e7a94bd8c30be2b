from pathlib import Path

import numpy as np
import onnx
import pytest

from optkit.errors import DataError
from optkit.formats import read_artifact
from optkit.passes import Job
from optkit.passes._judging import learned_and_judged
from optkit.passes._made_up import made_up_for, made_up_ids
from optkit.runtimes import Session, open_session


def session(ports: str, graph: str) -> Session:
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> g {ports} => (float[N, M] y) {{ {graph} }}')
    return open_session(model.SerializeToString())


def test_made_up_examples_fit_the_model() -> None:
    examples = made_up_for(session("(float[N, 3] x)", "y = Relu(x)"), 5, 0)
    assert (len(examples), examples.synthetic) == (5, True)


@pytest.mark.parametrize(
    ("ports", "graph", "says"),
    [
        ("(float[N, 3] x)", "y = Log(x)", "NaN"),
        ("(float[N, 3] x)", "y = Sub(x, x)", "alike"),
        ("(float[N, M] x)", "s = Constant<value_ints = [7, -1]>() y = Reshape(x, s)", "does not take"),
    ],
)
def test_where_answers_are_worth_nothing_data_is_asked_for(ports: str, graph: str, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        made_up_for(session(ports, graph), 4, 0)
    assert "--data" in str(caught.value.hint)
    assert "x float32[N, " in str(caught.value.hint)


def test_ids_are_made_up_for_models_that_take_them(tmp_path: Path) -> None:
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (int64[N, S] ids) => (float[N, S, 2] y) { y = Gather(t, ids) }'
    )
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.random.default_rng(0).normal(size=(500, 2)).astype("f"), "t"))
    onnx.save(proto, tmp_path / "model.onnx")
    source = read_artifact(tmp_path / "model.onnx")
    found = made_up_ids(source.path, Job(source, None))
    assert found is not None
    assert 400 < found.arrays["ids"].max() < 500
    assert found.digest != learned_and_judged(source, Job(source, None), 4)[1].digest


def test_none_are_for_others(tmp_path: Path) -> None:
    onnx.save(
        onnx.parser.parse_model('<ir_version: 8, opset_import: ["" : 17]> g (float[N] x) => (float[N] y) { y = Exp(x) }'),
        tmp_path / "m.onnx",
    )
    source = read_artifact(tmp_path / "m.onnx")
    assert made_up_ids(source.path, Job(source, None)) is None
