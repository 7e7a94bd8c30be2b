from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from ml_dtypes import int4
from onnx import TensorProto, helper, numpy_helper

from optkit.inspection.stored import constant_value, dtype_name, numbers_in_attributes, tensor_value
from optkit.inspection.values import Stored, Value

from .tiny_models import floats, parse, walked


def stored(value: Value) -> Stored:
    (only,) = value.made_of
    return only


@pytest.mark.parametrize(
    ("kind", "dims", "name", "size"),
    [
        (TensorProto.FLOAT, (3, 5), "float32", 60),
        (TensorProto.DOUBLE, (3,), "float64", 24),
        (TensorProto.FLOAT16, (3,), "float16", 6),
        (TensorProto.BFLOAT16, (3,), "bfloat16", 6),
        (TensorProto.INT8, (3,), "int8", 3),
        (TensorProto.INT4, (5,), "int4", 3),
        (TensorProto.BOOL, (), "bool", 1),
    ],
)
def test_size_comes_from_shape_and_type_alone(kind: int, dims: tuple[int, ...], name: str, size: int) -> None:
    tensor = TensorProto(data_type=kind, dims=dims)  # without a single number in it
    found = stored(tensor_value(tensor, "k", Path()))
    assert (found.dtype, found.elements, found.bytes) == (name, int(np.prod(dims)), size)


def test_sizes_are_those_that_numpy_gives() -> None:
    for array in (floats(7, 3), np.ones((4, 9), np.uint8), np.ones(11, np.int64), np.ones((2, 2), np.float64)):
        found = stored(tensor_value(numpy_helper.from_array(array), "k", Path()))
        assert (found.dtype, found.bytes) == (array.dtype.name, array.nbytes)
    assert stored(tensor_value(numpy_helper.from_array(np.ones(8, int4)), "k", Path())).bytes == 4


def test_a_type_that_this_onnx_does_not_know() -> None:
    assert dtype_name(99) == "unknown"
    assert stored(tensor_value(TensorProto(data_type=99, dims=[4], raw_data=b"12345"), "k", Path())).bytes == 5


def test_text_counts_its_characters() -> None:
    tensor = TensorProto(data_type=TensorProto.STRING, dims=[2], string_data=[b"ab", b"cde"])
    assert stored(tensor_value(tensor, "k", Path())).bytes == 5


@pytest.mark.parametrize(
    ("given", "numbers"),
    [
        ({"value": numpy_helper.from_array(np.arange(3))}, [0, 1, 2]),
        ({"value_int": 7}, 7),
        ({"value_ints": [7, 8]}, [7, 8]),
        ({"value_float": 0.5}, 0.5),
        ({"value_floats": [0.5, 1.5]}, [0.5, 1.5]),
    ],
)
def test_constant_nodes_in_all_forms(given: dict[str, Any], numbers: object) -> None:
    value = constant_value(helper.make_node("Constant", [], ["c"], **given), "k", Path())
    assert value.data is not None
    assert value.data.tolist() == numbers
    assert value.dims == value.data.shape
    assert value.constant


def test_small_numbers_are_read_and_large_ones_are_not() -> None:
    assert tensor_value(numpy_helper.from_array(np.arange(1024)), "k", Path()).data is not None
    assert tensor_value(numpy_helper.from_array(np.arange(1025)), "k", Path()).data is None


def outside(name: str, dims: tuple[int, ...], offset: int, file: str = "weights.bin", kind: int = TensorProto.FLOAT) -> TensorProto:
    tensor = TensorProto(name=name, data_type=kind, dims=dims, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=file)
    tensor.external_data.add(key="offset", value=str(offset))
    return tensor


def test_small_numbers_are_read_from_beside_the_model_too(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"skipped!" + np.array([3, 4], np.int64).tobytes())
    tensor = outside("shape", (2,), 8, kind=TensorProto.INT64)
    tensor.external_data.add(key="length", value="16")
    value = tensor_value(tensor, "k", tmp_path)
    assert value.data is not None
    assert value.data.tolist() == [3, 4]
    assert tensor_value(outside("shape", (2,), 8, "gone.bin", TensorProto.INT64), "k", tmp_path).data is None


def test_a_damaged_place_is_no_crash() -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="offset", value="nowhere")
    assert stored(tensor_value(tensor, "k", Path())).bytes == 16


def test_weights_that_share_a_place_in_a_file_count_once() -> None:
    model = parse('<ir_version: 8, opset_import: ["": 17]> g (float[1, 4] x) => (float[1, 4] y) { z = MatMul (x, a)  y = MatMul (z, b) }')
    model.graph.initializer.extend([outside("a", (4, 4), 0), outside("b", (4, 4), 0), outside("c", (4, 4), 64)])
    assert sum(each.bytes for each in walked(model).stored.values()) == 128


def test_sparse_weights_count_their_values_and_places() -> None:
    values, places = numpy_helper.from_array(floats(3), "w"), numpy_helper.from_array(np.array([0, 5, 9]))
    sparse = onnx.SparseTensorProto(values=values, indices=places, dims=[4, 4])
    model = parse('<ir_version: 8, opset_import: ["": 17]> g (float[1, 4] x) => (float[1, 4] y) { y = MatMul (x, w) }')
    model.graph.sparse_initializer.append(sparse)
    walk = walked(model)
    (found,) = walk.stored.values()
    assert (found.elements, found.bytes) == (3, 12 + 24)
    assert walk.visits[0].macs == 16


def test_four_bit_weights_are_counted_one_by_one() -> None:
    packed = np.ones((32, 2, 16), np.uint8)
    node = helper.make_node("MatMulNBits", ["x", "w", "s"], ["y"], domain="com.microsoft", K=64, N=32, bits=4, block_size=32)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", 1, (3, 64))],
        [helper.make_tensor_value_info("y", 1, (3, 32))],
        [numpy_helper.from_array(packed, "w"), numpy_helper.from_array(floats(64), "s")],
    )
    walk = walked(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]))
    assert (walk.stored["w"].elements, walk.stored["w"].bytes) == (64 * 32, 64 * 16)


def test_classical_models_keep_their_numbers_in_attributes() -> None:
    node = helper.make_node("LinearRegressor", ["x"], ["y"], domain="ai.onnx.ml", coefficients=[1.0, 2.0, 3.0], targets=1)
    (found,) = numbers_in_attributes(node, "k")
    assert (found.dtype, found.elements) == ("float32", 3)
