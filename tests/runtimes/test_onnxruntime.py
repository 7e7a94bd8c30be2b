"""Opening ONNX models, running them, and saying what is wrong."""

import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from optkit.errors import DataError, ModelError, OptkitError
from optkit.runtimes import Port, open_session
from optkit.runtimes._bound import Bound
from optkit.runtimes.onnxruntime import cause, open_onnx

Builder = Callable[..., bytes]
X = {"x": np.arange(8, dtype=np.float32).reshape(2, 4)}


@settings(max_examples=25)
@given(x=arrays(np.float32, st.tuples(st.integers(1, 6), st.just(4)), elements=st.floats(-8, 8, width=32)))
def test_answers_are_those_of_the_reference(classifier: bytes, x: Any) -> None:
    wanted = dict(zip(["logits", "shares"], ReferenceEvaluator(onnx.load_from_string(classifier)).run(None, {"x": x}), strict=True))
    session = open_onnx(classifier)
    answers = session.run({"x": x})
    assert list(answers) == ["logits", "shares"]
    for name, array in wanted.items():
        np.testing.assert_allclose(answers[name], array, rtol=1e-4, atol=1e-5)
    bound = session.bind({"x": x})
    assert isinstance(bound, Bound)
    bound()
    for name, array in bound.answers().items():
        np.testing.assert_array_equal(array, answers[name])


def test_a_file_and_its_bytes_are_the_same_model(classifier: bytes, classifier_file: Path) -> None:
    np.testing.assert_array_equal(open_session(classifier_file).run(X)["logits"], open_session(classifier).run(X)["logits"])


def test_ports_say_what_goes_in_and_out(build: Builder) -> None:
    nodes = [helper.make_node("Cast", ["ids"], ["floats"], to=TensorProto.DOUBLE), helper.make_node("Mul", ["floats", "scale"], ["y"])]
    inputs = [("ids", TensorProto.INT64, ["batch", None, 3]), ("scale", TensorProto.DOUBLE, [])]
    session = open_onnx(build(nodes, inputs, [("y", TensorProto.DOUBLE, ["batch", None, 3])]))
    assert session.inputs == (Port("ids", "int64", ("batch", None, 3)), Port("scale", "float64", ()))
    assert session.outputs == (Port("y", "float64", ("batch", None, 3)),)
    answer = session.run({"ids": np.ones((1, 2, 3), np.int64), "scale": np.asarray(2.5)[()]})
    np.testing.assert_array_equal(answer["y"], np.full((1, 2, 3), 2.5))


def test_only_the_outputs_asked_for_are_answered(classifier: bytes) -> None:
    assert list(open_onnx(classifier).run(X, ["shares"])) == ["shares"]
    with pytest.raises(ModelError, match="no output 'nope'") as caught:
        open_onnx(classifier).run(X, ["nope"])
    assert "logits, shares" in str(caught.value.hint)


@pytest.mark.slow
def test_a_bound_feed_outlives_its_arrays(classifier: bytes) -> None:
    session = open_onnx(classifier)
    expected = session.run({"x": np.full((64, 4), 7, np.float32)})["logits"]
    bound = session.bind({"x": np.full((64, 4), 7, np.float32)})
    gc.collect()
    others = [np.zeros((64, 4), np.float32) for _ in range(64)]
    bound()
    assert isinstance(bound, Bound)
    np.testing.assert_array_equal(bound.answers()["logits"], expected)
    assert len(others) == 64


def test_text_is_answered_again_without_binding(build: Builder) -> None:
    nodes = [helper.make_node("Identity", ["words"], ["same"])]
    session = open_onnx(build(nodes, [("words", TensorProto.STRING, ["n"])], [("same", TensorProto.STRING, ["n"])]))
    words = np.array(["one", "two"], object)
    assert session.inputs[0].dtype == "str"
    assert session.run({"words": words})["same"].tolist() == ["one", "two"]
    session.bind({"words": words})()


def test_an_output_of_another_rank_than_declared_is_answered_again(build: Builder) -> None:
    """Some exporters declare too few dimensions; ONNX Runtime refuses the second bound answer, not the first."""
    inputs = [("x", TensorProto.FLOAT, ["n", 2]), ("shape", TensorProto.INT64, ["k"])]
    model = build([helper.make_node("Reshape", ["x", "shape"], ["y"])], inputs, [("y", TensorProto.FLOAT, ["n", "m"])])
    call = open_onnx(model).bind({"x": np.ones((3, 2), np.float32), "shape": np.array([3, 1, 2])})
    assert not isinstance(call, Bound)
    for _ in range(3):
        call()


def test_a_list_of_maps_becomes_columns(build: Builder) -> None:
    nodes = [helper.make_node("ZipMap", ["x"], ["maps"], domain="ai.onnx.ml", classlabels_int64s=[7, 3])]
    graph = onnx.load_from_string(build(nodes, [("x", TensorProto.FLOAT, ["n", 2])], [("maps", TensorProto.FLOAT, None)], ai_onnx_ml=3))
    maps = helper.make_sequence_type_proto(
        helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    )
    graph.graph.output[0].type.CopyFrom(maps)
    session = open_onnx(graph.SerializeToString())
    x = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)
    np.testing.assert_array_equal(session.run({"x": x})["maps"], [[0.75, 0.25], [0.5, 0.5]])
    session.bind({"x": x})()


@pytest.mark.parametrize(
    ("feed", "says"),
    [
        ({}, "input 'x' is missing; given: nothing"),
        ({"X": X["x"]}, "input 'x' is missing; given: X"),
        ({**X, "y": X["x"]}, "the model has no input 'y'"),
        ({"x": X["x"].astype(np.float64)}, "input 'x' wants float32, given float64"),
        ({"x": np.array([["a"] * 4])}, "input 'x' wants float32, given str"),
        ({"x": X["x"][0]}, "input 'x' wants shape [n, 4], given [4]"),
        ({"x": X["x"][:, :3]}, "input 'x' wants shape [n, 4], given [2, 3]"),
    ],
)
def test_a_feed_that_does_not_fit(classifier_file: Path, feed: dict[str, Any], says: str) -> None:
    session = open_onnx(classifier_file)
    for use in (session.run, session.bind):
        with pytest.raises(DataError) as caught:
            use(feed)
        assert str(caught.value) == f"{classifier_file}: {says}\nhint: the model's inputs: x float32[n, 4]"


def test_inputs_that_disagree_on_a_dimension(build: Builder) -> None:
    ports = [(name, TensorProto.FLOAT, ["n"]) for name in "abc"]
    session = open_onnx(build([helper.make_node("Add", ["a", "b"], ["c"])], ports[:2], ports[2:]))
    with pytest.raises(DataError, match="inputs 'a' and 'b' want the same size for 'n', given 2 and 3"):
        session.run({"a": np.zeros(2, np.float32), "b": np.zeros(3, np.float32)})


def test_a_model_that_fails_while_running(build: Builder) -> None:
    model = build(
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        [("x", TensorProto.FLOAT, ["n", 4])],
        [("y", TensorProto.FLOAT, None)],
        {"shape": np.array([3, -1])},
    )
    with pytest.raises(ModelError, match=r"it fails while running: .*cannot be reshaped") as caught:
        open_onnx(model).run(X)
    assert "\n" not in caught.value.what
    assert "onnxruntime_src" not in caught.value.what


def test_models_that_do_not_load(build: Builder, classifier: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cut, junk, unknown = tmp_path / "cut.onnx", tmp_path / "junk.onnx", tmp_path / "unknown.onnx"
    cut.write_bytes(classifier[: len(classifier) // 2])
    junk.write_bytes(b"no model at all")
    port = [("x", TensorProto.FLOAT, ["n"])], [("y", TensorProto.FLOAT, ["n"])]
    unknown.write_bytes(build([helper.make_node("Mystery", ["x"], ["y"])], *port))
    says = {cut: "cannot load it", junk: "cannot load it", unknown: "Mystery", tmp_path / "absent.onnx": "there is no such file"}
    for path, words in says.items():
        with pytest.raises(ModelError, match=words) as caught:
            open_onnx(path)
        assert caught.value.where == str(path)
        assert "\n" not in caught.value.what
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("data", [b"", b"junk"])
def test_bytes_that_are_no_model(data: bytes) -> None:
    with pytest.raises(ModelError, match="the model: ONNX Runtime cannot load it"):
        open_onnx(data)


@given(st.text(max_size=2000))
def test_a_cause_is_one_line_that_fits(text: str) -> None:
    shown = cause(RuntimeError(text))
    assert len(shown.splitlines()) <= 1
    assert len(shown) <= 300


def test_options_reach_the_runtime(classifier: bytes) -> None:
    options = open_onnx(classifier, threads=2, config={"session.disable_prepacking": "1"}).raw.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)
    entries = {key: options.get_session_config_entry(f"session.{key}") for key in ("force_spinning_stop", "disable_prepacking")}
    assert entries == {"force_spinning_stop": "1", "disable_prepacking": "1"}


def test_without_optimization_the_graph_runs_as_written(build: Builder, tmp_path: Path) -> None:
    nodes = [helper.make_node("Add", ["w", "w"], ["twice"]), helper.make_node("MatMul", ["x", "twice"], ["y"])]
    ports = [("x", TensorProto.FLOAT, ["n", 4])], [("y", TensorProto.FLOAT, ["n", 4])]
    model = build(nodes, *ports, {"w": np.eye(4, dtype=np.float32)})
    kept = {}
    for optimize in (True, False):
        path = tmp_path / f"{optimize}.onnx"
        session = open_onnx(model, optimize=optimize, optimized_to=path)
        np.testing.assert_array_equal(session.run(X)["y"], 2 * X["x"])
        kept[optimize] = [node.op_type for node in onnx.load(path).graph.node]
    assert kept == {True: ["MatMul"], False: ["Add", "MatMul"]}


def test_a_profile_names_the_nodes_that_ran(classifier: bytes, tmp_path: Path) -> None:
    session = open_onnx(classifier, profile=tmp_path / "profile")
    session.run(X)
    events = json.loads(session.end_profile().read_text(encoding="utf-8"))
    assert "MatMul" in {event["args"].get("op_name") for event in events if event.get("cat") == "Node"}


def test_placement_counts_nodes_of_subgraphs_too(build: Builder) -> None:
    branch = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["out"])], "b", [], [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)]
    )
    nodes = [helper.make_node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch)]
    model = build(nodes, [("yes", TensorProto.BOOL, []), ("x", TensorProto.FLOAT, ["n"])], [("y", TensorProto.FLOAT, None)])
    assert open_onnx(model).placement() == {"CPUExecutionProvider": 3}


def test_errors_of_sessions_are_ours(classifier: bytes) -> None:
    with pytest.raises(OptkitError):
        open_onnx(classifier).run({"x": np.zeros((1, 4), np.int32)})
