from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from optkit.artifact import Artifact
from optkit.records import read_record

from .rooms import INPUTS, Optkit, Room

CLUTTERED = """
<ir_version: 8, opset_import: ["": 17]>
g (float[n, 64] x) => (float[n, 8] y) {
    a = Identity (x)
    two = Constant <value = float {2.0}> ()
    three = Constant <value = float {3.0}> ()
    six = Mul (two, three)
    b = Mul (a, six)
    c = Identity (b)
    y = MatMul (c, w)
}"""


@pytest.fixture
def cluttered(room: Room) -> Path:
    model = onnx.parser.parse_model(CLUTTERED)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((INPUTS, 8), np.float32), "w"))
    onnx.save(model, "cluttered.onnx")
    return Path("cluttered.onnx")


def answer(path: Path) -> Any:
    (found,) = ort.InferenceSession(path).run(None, {"x": np.ones((3, INPUTS), np.float32)})
    return found


@pytest.mark.parametrize("data", [(), ("--data", "data.npz")])
def test_fewer_nodes_give_the_same_answers(optkit: Optkit, cluttered: Path, data: tuple[str, ...]) -> None:
    done = optkit("simplify", cluttered, "--no-cache", *data)
    assert done.exit_code == 0, done.output
    made = Path("cluttered.simple.onnx")
    assert len(onnx.load(made).graph.node) == 2
    np.testing.assert_allclose(answer(made), answer(cluttered), rtol=1e-6)
    assert "nodes    7 → 2" in done.output
    assert ("8 examples" if data else "8 made-up inputs") in done.output


def test_json_is_the_artifact(optkit: Optkit, cluttered: Path) -> None:
    made = read_record(Artifact, optkit("simplify", cluttered, "-o", "out.onnx", "--no-cache", "--json").output)
    assert made.path == Path("out.onnx")
    assert made.lineage[-1].notes["nodes after"] == 2


def test_where_nothing_can_be_left_out_nothing_is_written(optkit: Optkit, room: Room) -> None:
    before = sorted(room.path.iterdir())
    done = optkit("simplify", room.model, "--no-cache")
    assert done.exit_code == 1
    assert "nothing to leave out" in done.output
    assert sorted(room.path.iterdir()) == before


def test_an_existing_file_stays_unless_forced(optkit: Optkit, cluttered: Path) -> None:
    made = Path("cluttered.simple.onnx")
    made.write_text("precious")
    assert optkit("simplify", cluttered, "--no-cache").exit_code == 2
    assert made.read_text() == "precious"
    assert optkit("simplify", cluttered, "--no-cache", "--force").exit_code == 0
    assert len(onnx.load(made).graph.node) == 2


@pytest.mark.slow
def test_twice_gives_the_same_bytes(optkit: Optkit, cluttered: Path) -> None:
    for name in ("one.onnx", "two.onnx"):
        assert optkit("simplify", cluttered, "-o", name, "--no-cache").exit_code == 0
    assert Path("one.onnx").read_bytes() == Path("two.onnx").read_bytes()
