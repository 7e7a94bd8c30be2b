from collections.abc import Sequence

import numpy as np
import pytest

from optkit.datasets.synthetic import LARGEST_ID, synthetic
from optkit.errors import DataError
from optkit.runtimes import Port

BERT = [Port(name, "int64", ("batch", "sequence")) for name in ("input_ids", "attention_mask", "token_type_ids", "position_ids")]
VAD = [Port("input", "float32", (None, None)), Port("state", "float32", (2, None, 128)), Port("sr", "int64", ())]


def shapes(inputs: Sequence[Port], batch: int = 2) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in next(synthetic(inputs, 4).feeds(batch)).items()}


def test_it_is_marked_and_has_no_labels() -> None:
    examples = synthetic(BERT, 5)
    assert (examples.synthetic, examples.labels, len(examples)) == (True, None, 5)


def test_the_seed_decides() -> None:
    assert synthetic(VAD, 3, seed=1).digest == synthetic(VAD, 3, seed=1).digest
    assert synthetic(VAD, 3, seed=1).digest != synthetic(VAD, 3, seed=2).digest


def test_tokens_have_one_length_and_fitting_values() -> None:
    assert set(shapes(BERT).values()) == {(2, 16)}
    arrays = synthetic(BERT, 4).arrays
    assert 0 <= arrays["input_ids"].min() <= arrays["input_ids"].max() < LARGEST_ID
    assert len(np.unique(arrays["input_ids"])) > 1
    assert (arrays["attention_mask"] == 1).all()
    assert (arrays["token_type_ids"] == 0).all()
    assert (arrays["position_ids"] == np.arange(16)).all()


def test_open_image_sizes() -> None:
    assert shapes([Port("x", "float32", (None, 3, 48, None))]) == {"x": (2, 3, 48, 224)}
    assert shapes([Port("x", "uint8", ("N", "h", "w", 3))]) == {"x": (2, 224, 224, 3)}
    assert shapes([Port("x", "float32", ("N", 12, "s", 64))]) == {"x": (2, 12, 16, 64)}


def test_single_values_and_states_make_whole_feeds() -> None:
    assert shapes(VAD) == {"input": (1, 16), "state": (2, 1, 128), "sr": ()}
    assert synthetic(VAD, 4).whole


def test_a_fixed_batch_of_one_is_a_batch() -> None:
    assert not synthetic([Port("x", "float32", (1, 3))], 4).whole
    assert shapes([Port("x", "float32", (1, 3))], batch=1) == {"x": (1, 3)}


def test_a_fixed_larger_batch_is_a_whole_feed() -> None:
    assert shapes([Port("x", "float32", (8, 3))]) == {"x": (8, 3)}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16", "bool", "int8", "uint8", "int32", "uint64"])
def test_types_are_the_models(dtype: str) -> None:
    assert synthetic([Port("x", dtype, ("N", 3, 8, 8))], 2).arrays["x"].dtype.name == dtype


def test_text() -> None:
    assert synthetic([Port("x", "str", ("N", 1))], 2).arrays["x"].tolist() == [["made-up text"]] * 2


def test_none_at_all() -> None:
    with pytest.raises(DataError):
        synthetic(BERT, 0)


def test_ids_reach_as_far_as_the_model_takes_them() -> None:
    arrays = synthetic(BERT, 64, ids={"input_ids": 3000}).arrays
    assert 2900 < arrays["input_ids"].max() < 3000
    assert (arrays["attention_mask"] == 1).all()
