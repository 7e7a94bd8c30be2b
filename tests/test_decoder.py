"""Key-value caches that examples need not hold."""

from pathlib import Path

import numpy as np
import pytest
from onnx import helper, save

from optkit.datasets import fit_examples
from optkit.datasets.synthetic import synthetic
from optkit.decoder import is_cache, may_be_left_out, with_empty_cache
from optkit.errors import DataError
from optkit.runtimes import Port
from optkit.runtimes.onnxruntime import OnnxSession, open_onnx

KEY = Port("past_key_values.0.key", "float32", ("batch", 2, "past", 3))


@pytest.mark.parametrize(
    "port",
    [
        Port("past", "float32", ("batch", 2, "past", 3)),
        Port("past_key_values.0.key", "float32", ("batch", 2, 5, 3)),
        Port("past_key_values.0.key", "float32", (1, 2, "past", 3)),
        Port("past_key_values.0.key", "float32", ("batch", "past", 3)),
        Port("past_key_values.0.keys", "float32", ("batch", 2, "past", 3)),
    ],
)
def test_only_a_cache_that_can_be_empty_may_be_left_out(port: Port) -> None:
    assert is_cache(KEY)
    assert not is_cache(port)
    assert with_empty_cache([port], {"x": np.ones((4, 1))}).keys() == {"x"}


def test_a_mask_that_is_not_given_counts_all_tokens() -> None:
    mask, ids = Port("attention_mask", "int64", ("batch", "past + sequence")), np.ones((4, 5), np.int64)
    filled = with_empty_cache([mask, KEY], {"input_ids": ids})
    np.testing.assert_array_equal(filled["attention_mask"], np.ones((4, 5), np.int64))
    assert with_empty_cache([mask, KEY], {"input_ids": ids, "attention_mask": ids * 0})["attention_mask"].sum() == 0
    assert "attention_mask" not in with_empty_cache([mask], {"input_ids": ids}), "beside no cache it is an input like others"
    assert may_be_left_out(mask, [mask, KEY])
    assert not may_be_left_out(mask, [mask])


def test_what_is_given_stays() -> None:
    held = np.ones((4, 2, 5, 3), np.float32)
    assert with_empty_cache([KEY], {"x": np.ones((4, 1)), KEY.name: held})[KEY.name] is held


@pytest.fixture
def session(tmp_path: Path) -> OnnxSession:
    """Adds up the past and the number at hand: `present` is the past with the number behind it."""
    past = helper.make_tensor_value_info(KEY.name, 1, list(KEY.shape))
    x = helper.make_tensor_value_info("x", 1, ["batch", 2, "new", 3])
    outputs = [helper.make_tensor_value_info("present.0.key", 1, None), helper.make_tensor_value_info("total", 1, None)]
    nodes = [
        helper.make_node("Concat", [KEY.name, "x"], ["present.0.key"], axis=2),
        helper.make_node("ReduceSum", ["present.0.key"], ["total"], keepdims=0),
    ]
    model = helper.make_model(helper.make_graph(nodes, "g", [x, past], outputs), opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path = tmp_path / "m.onnx"
    save(model, path)
    return open_onnx(path)


def test_a_decoder_begins_without_a_cache_and_goes_on_with_one(session: OnnxSession) -> None:
    x = np.random.default_rng(0).standard_normal((2, 2, 4, 3)).astype(np.float32)
    whole = session.run({"x": x})
    first = session.run({"x": x[:, :, :3]})
    rest = session.run({"x": x[:, :, 3:], KEY.name: first["present.0.key"]})
    np.testing.assert_allclose(np.float64(rest["total"]), np.float64(whole["total"]), rtol=1e-5)
    np.testing.assert_array_equal(rest["present.0.key"], x)
    session.bind({"x": x})()


def test_examples_without_a_cache_fit_and_what_is_missing_is_told(session: OnnxSession) -> None:
    x = np.zeros((3, 2, 4, 3), np.float32)
    assert list(fit_examples("data", {"x": x}, session.inputs).arrays) == ["x"]
    both = fit_examples("data", {"x": x, KEY.name: x}, session.inputs)
    assert list(both.arrays) == ["x", KEY.name]
    assert list(synthetic(session.inputs, 3).arrays) == ["x"]
    with pytest.raises(DataError, match="input 'x'"):
        fit_examples("data", {KEY.name: x}, session.inputs)
    with pytest.raises(DataError, match="'x' is missing"):
        session.run({KEY.name: x})
