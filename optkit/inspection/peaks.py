"""How much this machine can do through the runtime: multiplications a second in each precision, and bytes of memory a second."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from optkit.arrays import Array
from optkit.errors import OptkitError
from optkit.inspection.integers import chain_model, crossing_model, seconds_of
from optkit.inspection.under_roof import Peaks
from optkit.runtimes.onnxruntime import open_onnx

SECONDS = 0.15
"""Of running each small model."""
ROWS, WIDTH, CHANNELS, PIXELS = 256, 1024, 64, 56
"""Of the matrix product and of the convolution: large enough to reach the peak, small enough to stay in the caches."""
CACHED = 512
"""Rows and columns of one that caches hold: 1 MiB."""
STREAMED = 4096
"""Rows and columns of a matrix that is multiplied by one vector: 64 MiB are read, which no cache holds."""

DRAWN = 65_521
"""Numbers that are drawn at random and repeated: which they are does not matter, and to draw more takes longer than to multiply them."""

LINKS = 64
"""Operators in the chain that tells what a call takes."""
CROSSING = CHANNELS * PIXELS * PIXELS


def measure_peaks(device: str = "cpu", threads: int = 1) -> Peaks:
    """Run small models of one operator each, a second in all. Raises UsageError for a device that is not there."""
    product, convolution = ROWS * WIDTH * WIDTH, CHANNELS * CHANNELS * 9 * PIXELS * PIXELS
    reached: dict[str, list[float]] = {"float32": [], "int8": [], "float16": []}
    for precision, macs, (model, feed) in (
        ("float32", product, _product(np.float32, ROWS, WIDTH)),
        ("float32", convolution, _convolution()),
        ("int8", product, _integer_product()),
        ("int8", convolution, _integer_convolution()),
        ("float16", product, _product(np.float16, ROWS, WIDTH)),
    ):
        try:
            reached[precision].append(macs / _seconds(model, feed, device, threads))
        except OptkitError:
            if precision == "float32":
                raise
    streamed, cached = (4 * n * n / _seconds(*_product(np.float32, 1, n), device, threads) for n in (STREAMED, CACHED))
    best = {precision: max(found, default=0.0) for precision, found in reached.items()}
    overheads = _overheads(device, threads)
    return Peaks(best["float32"], best["int8"] or best["float32"], best["float16"] or None, streamed, max(streamed, cached), *overheads)


def _overheads(device: str, threads: int) -> tuple[float, float, float]:
    """Seconds of a call of an operator, of an inference besides, and of a value that leaves integers and comes back."""
    one, many = (seconds_of(*chain_model(length), device, threads) for length in (1, LINKS))
    call = max((many - one) / (LINKS - 1), 1e-8)
    run = max(one - call, 0.0)
    try:
        crossed = seconds_of(*crossing_model(CROSSING), device, threads)
    except OptkitError:
        return call, run, 0.0
    return call, run, max(crossed - run - 3 * call, 0.0) / CROSSING


def _seconds(model: bytes, feed: Mapping[str, Array], device: str, threads: int) -> float:
    """The shortest of many runs: a peak is what is reached when nothing else happens."""
    call = open_onnx(model, device, threads).bind(feed)
    call()
    return min(_runs(call))


def _runs(call: Callable[[], None]) -> Iterator[float]:
    end, done = time.perf_counter() + SECONDS, 0
    while done < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        yield time.perf_counter() - start
        done += 1


def _product(dtype: Any, rows: int, width: int) -> tuple[bytes, dict[str, Array]]:
    weight = _noise((width, width), dtype)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    model = _model([helper.make_node("MatMul", ["x", "w"], ["y"])], kind, (rows, width), kind, {"w": weight})
    return model, {"x": _noise((rows, width), dtype)}


def _integer_product() -> tuple[bytes, dict[str, Array]]:
    weight = _integers((WIDTH, WIDTH), np.int8)
    nodes = [helper.make_node("MatMulInteger", ["x", "w"], ["y"])]
    model = _model(nodes, TensorProto.UINT8, (ROWS, WIDTH), TensorProto.INT32, {"w": weight})
    return model, {"x": _integers((ROWS, WIDTH), np.uint8)}


def _convolution() -> tuple[bytes, dict[str, Array]]:
    shape = (1, CHANNELS, PIXELS, PIXELS)
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])]
    model = _model(nodes, TensorProto.FLOAT, shape, TensorProto.FLOAT, {"w": _noise((CHANNELS, CHANNELS, 3, 3), np.float32)})
    return model, {"x": _noise(shape, np.float32)}


def _integer_convolution() -> tuple[bytes, dict[str, Array]]:
    shape = (1, CHANNELS, PIXELS, PIXELS)
    one, zero, scale = np.float32(0.02), np.uint8(128), np.full(CHANNELS, 0.01, np.float32)
    constants = {"xs": one, "xz": zero, "w": _integers((CHANNELS, CHANNELS, 3, 3), np.int8), "ws": scale, "ys": np.float32(0.5)}
    constants |= {"wz": np.zeros(CHANNELS, np.int8), "yz": zero}
    nodes = [helper.make_node("QLinearConv", ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"], ["y"], pads=[1, 1, 1, 1])]
    return _model(nodes, TensorProto.UINT8, shape, TensorProto.UINT8, constants), {"x": _integers(shape, np.uint8)}


def _model(nodes: list[Any], taken: int, shape: tuple[int, ...], given: int, constants: Mapping[str, Any]) -> bytes:
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    ports = [helper.make_tensor_value_info("x", taken, shape)], [helper.make_tensor_value_info("y", given, None)]
    graph = helper.make_graph(nodes, "peak", *ports, stored)
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def _noise(shape: tuple[int, ...], dtype: Any) -> Array:
    drawn = ((np.random.default_rng(0).random(DRAWN, np.float32) - 0.5) * 0.1).astype(dtype)
    return np.resize(drawn, shape)


def _integers(shape: tuple[int, ...], dtype: Any) -> Array:
    limits = np.iinfo(dtype)
    return np.random.default_rng(0).integers(limits.min // 2, limits.max // 2, shape).astype(dtype)
