"""How much this machine can do through the runtime: multiplications a second in each precision, and bytes of memory a second."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from optkit.arrays import Array
from optkit.errors import ModelError, OptkitError
from optkit.inspection.integers import Model, chain_model, crossing_model, seconds_of
from optkit.inspection.under_roof import Peaks
from optkit.runtimes.onnxruntime import OnnxSession, open_onnx

SECONDS = 0.15
"""Of running each small model."""
ROWS, WIDTH, CHANNELS, PIXELS = 256, 1024, 64, 56
"""Of the matrix product and of the convolution: large enough to reach the peak, small enough to stay in the caches."""
CACHED = 512
"""Rows and columns of one that caches hold: 1 MiB."""
STREAMED = 4096
"""Rows and columns of a matrix that is multiplied by one vector: 64 MiB are read, which no cache holds."""

OF_GPUS = ((2048, 2048), (8192, 4096))
"""Rows and width of products that are tried where a device has memory of its own, for as long as larger ones reach more."""
IMAGES_OF_GPUS = ((16, 128), (64, 256))
"""Batch size and channels of convolutions, likewise."""
MORE = 1.1
"""Times the rate before."""
READ_BY_GPUS = 8192
"""Rows and columns: 256 MiB."""

DRAWN = 65_521
"""Numbers that are drawn at random and repeated: which they are does not matter, and to draw more takes longer than to multiply them."""

LINKS = 64
"""Operators in the chain that tells what a call takes."""
CROSSING = CHANNELS * PIXELS * PIXELS


def measure_peaks(device: str = "cpu", threads: int = 1) -> Peaks:
    """Run small models of one operator each, a second or two in all. Raises UsageError for a device that is not there."""
    large = open_onnx(*chain_model(1)[:1], device, threads).provider.memory != "cpu"
    products, images = ((ROWS, WIDTH), *(OF_GPUS if large else ())), ((1, CHANNELS), *(IMAGES_OF_GPUS if large else ()))
    overheads = _overheads(device, threads)

    def reached(sizes: Sequence[tuple[int, int]], *kinds: Callable[[int, int], Model], macs: Callable[[int, int], int]) -> float:
        best = 0.0
        for rows, width in sizes:
            rates = [macs(rows, width) / seconds for kind in kinds if (seconds := _seconds_there(kind(rows, width), device, threads))]
            before, best = best, max([best, *rates])
            if best <= before * MORE:
                break
        return best

    product = partial(reached, products, macs=lambda rows, width: rows * width * width)
    convolution = partial(reached, images, macs=lambda count, channels: count * channels * channels * 9 * PIXELS * PIXELS)
    float32 = max(product(partial(_product, np.float32)), convolution(_convolution))
    if not float32:
        raise ModelError(f"a matrix product does not run on {device}")
    int8 = max(product(*(partial(_integer_product, each) for each in (np.uint8, np.int8))), convolution(_integer_convolution))
    float16 = product(partial(_product, np.float16))
    streamed = _read_from_far(device, threads) if large else _bandwidth(STREAMED, device, threads)
    cached = max(streamed, _bandwidth(CACHED, device, threads))
    return Peaks(float32, int8 or float32, float16 or None, streamed, cached, *overheads)


def _bandwidth(width: int, device: str, threads: int) -> float:
    size, seconds = _read(width, device, threads)
    return size / seconds


def _read_from_far(device: str, threads: int) -> float:
    """Bytes a second that a device reads from its own memory: of two matrices the difference, which is without the time to start."""
    (many, long), (few, short) = (_read(width, device, threads) for width in (READ_BY_GPUS, READ_BY_GPUS // 2))
    return (many - few) / (long - short) if long - short > long / 4 else many / long


def _read(width: int, device: str, threads: int) -> tuple[int, float]:
    """Bytes of a matrix that a vector is multiplied by, and seconds."""
    return 4 * width * width, _seconds(*_product(np.float32, 1, width), device, threads)


def _seconds_there(model: Model, device: str, threads: int) -> float | None:
    """None where the device has no kernel for it: the CPU would compute it instead."""
    try:
        session = open_onnx(model[0], device, threads)
        if set(session.placement()) != {session.provider.name}:
            return None
        return _shortest(session, model[1])
    except OptkitError:
        return None


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
    return _shortest(open_onnx(model, device, threads), feed)


def _shortest(session: OnnxSession, feed: Mapping[str, Array]) -> float:
    """Of many runs: a peak is what is reached when nothing else happens."""
    call = session.bind(feed)
    call()
    return min(_runs(call))


def _runs(call: Callable[[], None]) -> Iterator[float]:
    end, done = time.perf_counter() + SECONDS, 0
    while done < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        yield time.perf_counter() - start
        done += 1


def _product(dtype: Any, rows: int, width: int) -> Model:
    weight = _noise((width, width), dtype)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    model = _model([helper.make_node("MatMul", ["x", "w"], ["y"])], kind, (rows, width), kind, {"w": weight})
    return model, {"x": _noise((rows, width), dtype)}


def _integer_product(dtype: Any, rows: int, width: int) -> Model:
    """Activations are unsigned on CPUs, and signed on GPUs, whose kernels know no others."""
    weight = _integers((width, width), np.int8)
    nodes = [helper.make_node("MatMulInteger", ["x", "w"], ["y"])]
    taken = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return _model(nodes, taken, (rows, width), TensorProto.INT32, {"w": weight}), {"x": _integers((rows, width), dtype)}


def _convolution(count: int, channels: int) -> Model:
    shape = (count, channels, PIXELS, PIXELS)
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])]
    model = _model(nodes, TensorProto.FLOAT, shape, TensorProto.FLOAT, {"w": _noise((channels, channels, 3, 3), np.float32)})
    return model, {"x": _noise(shape, np.float32)}


def _integer_convolution(count: int, channels: int) -> Model:
    shape = (count, channels, PIXELS, PIXELS)
    one, zero, scale = np.float32(0.02), np.uint8(128), np.full(channels, 0.01, np.float32)
    constants = {"xs": one, "xz": zero, "w": _integers((channels, channels, 3, 3), np.int8), "ws": scale, "ys": np.float32(0.5)}
    constants |= {"wz": np.zeros(channels, np.int8), "yz": zero}
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
