"""Training with the rounding of the INT8 model: what it restores, what it says where it gains nothing, what it refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from pydantic import ValidationError

from optkit.artifact import Artifact
from optkit.datasets import Array, Examples
from optkit.errors import DataError, ModelError, NothingPaid, UsageError
from optkit.formats import read_artifact
from optkit.formats.onnx import load_model, save_model
from optkit.passes import Job
from optkit.passes.quantize_static import QuantizeStatic
from optkit.quantization.integer_graph.instruction_sets import overflowing
from optkit.runtimes import open_session

pytest.importorskip("torch")

from optkit.passes.quantize_aware import QuantizeAware

from ..training.graph.small_models import convolutions, images

QUICK: dict[str, Any] = {"epochs": 1, "batch_size": 16, "training_threads": 1}
IN_VAIN: dict[str, Any] = {**QUICK, "learning_rate": 1e-12}


def stored(model: ir.Model, folder: Path, name: str = "float.onnx") -> Artifact:
    save_model(model, folder / name)
    return read_artifact(folder / name)


def answered(path: Path, examples: Examples) -> Array:
    return open_session(path).run(dict(examples.arrays))["logits"]


def labelled(source: Artifact, count: int) -> Examples:
    """Images with what the float model says of them as truth."""
    made = images(count)
    return Examples(made.source, made.arrays, answered(source.path, made).argmax(1))


@pytest.mark.slow
@pytest.mark.parametrize(("share", "learn_ranges"), [(0.0, False), (0.5, True)])
def test_what_static_int8_loses_is_restored(share: float, learn_ranges: bool, tmp_path: Path) -> None:
    source = stored(convolutions(spread=6), tmp_path)
    job = Job(source, labelled(source, 400))
    how = {**QUICK, "epochs": 3, "learning_rate": 0.003, "validation": 0.25, "label_share": share, "learn_ranges": learn_ranges}
    QuantizeAware(**how).run(source, tmp_path / "aware.onnx", job)
    numbers = job.notes["held out, in ONNX Runtime"]
    assert numbers["float"]["top1"] == 1.0
    assert numbers["static"]["top1"] < 0.9, "the test is too easy: static INT8 loses nothing"
    assert numbers["trained"]["top1"] > numbers["static"]["top1"] + 0.05
    assert numbers["trained"]["loss"] < numbers["static"]["loss"] / 2
    assert job.notes["trained and shipped alike, dB"] > 40
    assert numbers["trained"]["loss"] == pytest.approx(job.notes["validation loss"]["after"], rel=0.01), "trained and shipped scores differ"
    assert overflowing(load_model(tmp_path / "aware.onnx")) == []
    assert job.notes["safe_on"] == ["x86-64", "arm64"]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_from_float_and_from_int8(tmp_path: Path) -> None:
    source = stored(convolutions(spread=4), tmp_path)
    examples = images(80)
    how = QuantizeAware(**QUICK, learning_rate=0.003, validation=0)
    for name in ("one.onnx", "two.onnx"):
        how.run(source, tmp_path / name, Job(source, examples))
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()
    int8 = stored(QuantizeStatic().edit(load_model(source.path), Job(source, examples)), tmp_path, "int8.onnx")
    how.run(int8, tmp_path / "three.onnx", Job(source, examples))
    assert np.array_equal(answered(tmp_path / "one.onnx", examples), answered(tmp_path / "three.onnx", examples))


@pytest.mark.slow
def test_without_a_gain_plain_static_int8_is_what_is_left(tmp_path: Path) -> None:
    source, examples = stored(convolutions(), tmp_path), images(80)
    job = Job(source, examples)
    QuantizeAware(**IN_VAIN).run(source, tmp_path / "aware.onnx", job)
    assert any("this is plain static INT8" in each for each in job.notes["remarks"])
    assert job.notes["held out, in ONNX Runtime"]["trained"]["loss"] >= job.notes["held out, in ONNX Runtime"]["static"]["loss"]
    assert {node.op_type for node in load_model(tmp_path / "aware.onnx").graph} >= {"QuantizeLinear", "DequantizeLinear"}


@pytest.mark.slow
def test_without_a_gain_an_int8_model_is_nothing_new(tmp_path: Path) -> None:
    source, examples = stored(convolutions(), tmp_path), images(80)
    int8 = stored(QuantizeStatic().edit(load_model(source.path), Job(source, examples)), tmp_path, "int8.onnx")
    with pytest.raises(NothingPaid, match="1 epoch of training made nothing better on 8 examples held out"):
        QuantizeAware(**IN_VAIN).run(int8, tmp_path / "aware.onnx", Job(source, examples))
    with pytest.raises(UsageError, match="nothing says which float model"):
        QuantizeAware(**QUICK).run(int8, tmp_path / "aware.onnx", Job(int8, examples))


def test_data_that_it_cannot_train_on_is_refused(tmp_path: Path) -> None:
    source, examples = stored(convolutions(), tmp_path), images(80)
    made_up = Examples("made up", examples.arrays, synthetic=True)
    with pytest.raises(DataError, match="real examples"):
        QuantizeAware(**QUICK).run(source, tmp_path / "aware.onnx", Job(source, made_up))
    with pytest.raises(DataError, match="label_share needs labels"):
        QuantizeAware(**QUICK, label_share=0.5).run(source, tmp_path / "aware.onnx", Job(source, examples))
    with pytest.raises(DataError, match="too few to train on"):
        QuantizeAware(**QUICK).run(source, tmp_path / "aware.onnx", Job(source, images(6)))


@pytest.mark.slow
def test_an_operator_without_counterpart_is_named_before_anything_is_trained(tmp_path: Path) -> None:
    model = convolutions()
    last = model.graph.outputs[0].producer()
    assert last is not None
    hard = ir.node("Hardmax", [last.outputs[0]], name="hardest")
    hard.outputs[0].name, hard.outputs[0].type = "hard", ir.TensorType(ir.DataType.FLOAT)
    model.graph.append(hard)
    model.graph.outputs.append(hard.outputs[0])
    source = stored(model, tmp_path)
    with pytest.raises(ModelError, match=r"cannot be trained: Hardmax \(node 'hardest'\)"):
        QuantizeAware(**QUICK).run(source, tmp_path / "aware.onnx", Job(source, images(80)))


@pytest.mark.slow
def test_a_model_of_one_batch_size_is_trained_in_larger_ones_or_refused(tmp_path: Path) -> None:
    fixed, reshaped = convolutions(), convolutions()
    for model in (fixed, reshaped):
        model.graph.inputs[0].shape, model.graph.outputs[0].shape = ir.Shape([1, 3, 12, 12]), ir.Shape([1, 4])
    flat = next(node for node in reshaped.graph if node.op_type == "Flatten")
    shape = ir.val("shape", ir.DataType.INT64, [2], const_value=ir.tensor(np.array([1, 32], np.int64), name="shape"))
    reshaped.graph.register_initializer(shape)
    output, again = flat.outputs[0], ir.node("Reshape", [flat.inputs[0], shape], name="again")
    reshaped.graph.insert_before(flat, again)
    output.replace_all_uses_with(again.outputs[0])
    reshaped.graph.remove(flat, safe=True)
    for name, model in (("fixed", fixed), ("reshaped", reshaped)):
        source = stored(model, tmp_path, f"{name}.onnx")
        job = Job(source, images(40))
        if name == "fixed":
            QuantizeAware(**QUICK).run(source, tmp_path / "aware.onnx", job)
            assert open_session(tmp_path / "aware.onnx").inputs[0].shape[0] == 1
        else:
            with pytest.raises(ModelError, match="batches of 1"):
                QuantizeAware(**QUICK).run(source, tmp_path / "aware.onnx", job)


def test_16_bits_are_no_choice() -> None:
    with pytest.raises(ValidationError):
        QuantizeAware.model_validate({"mixed_precision": "bf16"})
