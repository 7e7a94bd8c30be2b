"""How long operators take in INT8 here: each shape is built as a model of its own and run through the same runtime."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from optkit.arrays import Array
from optkit.errors import OptkitError
from optkit.inspection.under_roof import Kernel, Peaks
from optkit.runtimes.onnxruntime import open_onnx

Model = tuple[bytes, dict[str, Array]]

SECONDS = 0.01
"""Of running each in a turn."""
TURNS = 3
MOST_RUNS = 500
MOST = 60
"""Different kernels that are measured."""
MICROSOFT = "com.microsoft"


@dataclass(frozen=True)
class Beside:
    """The model that kernels are timed in turns with, so that what else the machine does counts for both."""

    call: Callable[[], None]
    seconds: float
    """What an inference took when it was profiled."""


def integer_seconds(kernels: Iterable[Kernel], peaks: Peaks, beside: Beside, device: str = "cpu", threads: int = 1) -> dict[Kernel, float]:
    """Seconds of each in INT8, less what the runtime takes for an inference; what it has no integer kernel for is left out.

    Convolutions take integers and give integers, in the layout that the runtime gives them; products and LSTMs take and give floats,
    which they quantize by themselves (dynamic quantization).
    """
    calls = {}
    for kernel in list(dict.fromkeys(kernels))[:MOST]:
        model, feed = model_of(kernel)
        with suppress(OptkitError):
            calls[kernel] = open_onnx(model, device, threads).bind(feed)
    shares: dict[Kernel, list[float]] = {kernel: [] for kernel in calls}
    for _ in range(TURNS):
        for kernel, call in calls.items():
            whole = _timed(beside.call)
            shares[kernel].append(_timed(call) / whole)
    return {kernel: max(median(each) * beside.seconds - peaks.run, peaks.call) for kernel, each in shares.items()}


def crossing_model(values: int) -> Model:
    """Integers to floats, a HardSwish, and back."""
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "s", "z"], ["a"]),
        helper.make_node("HardSwish", ["a"], ["b"]),
        helper.make_node("QuantizeLinear", ["b", "s", "z"], ["y"]),
    ]
    shape = (1, values)
    return _model(nodes, TensorProto.UINT8, shape, TensorProto.UINT8, {"s": np.float32(0.05), "z": np.uint8(128)}), {"x": _bytes(shape)}


def chain_model(length: int) -> Model:
    """So many operators with next to nothing to do."""
    names = ["x", *(f"v{i}" for i in range(length - 1)), "y"]
    nodes = [helper.make_node("Softmax", [names[i]], [names[i + 1]]) for i in range(length)]
    return _model(nodes, TensorProto.FLOAT, (1, 2), TensorProto.FLOAT, {}), {"x": np.zeros((1, 2), np.float32)}


def model_of(kernel: Kernel) -> Model:
    """A model of one operator in INT8."""
    return {"Conv": _convolution, "MatMul": _product, "LSTM": _lstm}[kernel.operator](kernel)


def _convolution(kernel: Kernel) -> Model:
    (weight,), taken = kernel.weights, kernel.taken
    shape = (taken[0], *taken[2:], taken[1])
    constants: dict[str, Any] = {"xs": np.float32(0.02), "xz": np.uint8(128), "w": _weights(weight), "ys": np.float32(0.5)}
    constants |= {"ws": np.full(weight[0], 0.01, np.float32), "wz": np.zeros(weight[0], np.int8), "b": np.zeros(weight[0], np.int32)}
    inputs = ["x", "xs", "xz", "w", "ws", "wz", "ys", "xz", "b"]
    attributes: dict[str, Any] = dict(kernel.attributes)
    node = helper.make_node("QLinearConv", inputs, ["y"], domain=MICROSOFT, channels_last=1, **attributes)
    return _model([node], TensorProto.UINT8, shape, TensorProto.UINT8, constants), {"x": _bytes(shape)}


def _product(kernel: Kernel) -> Model:
    (weight,) = kernel.weights
    constants = {"w": _weights(weight), "ws": np.full(weight[1], 0.01, np.float32), "wz": np.zeros(weight[1], np.int8)}
    node = helper.make_node("DynamicQuantizeMatMul", ["x", "w", "ws", "wz"], ["y"], domain=MICROSOFT)
    return _model([node], TensorProto.FLOAT, kernel.taken, TensorProto.FLOAT, constants), {"x": _floats(kernel.taken)}


def _lstm(kernel: Kernel) -> Model:
    taken, state = kernel.weights
    directions, hidden = state[0], state[2]
    constants: dict[str, Any] = {
        "w": _weights((directions, taken[2], taken[1])),
        "r": _weights((directions, hidden, state[1])),
        "b": np.zeros((directions, 2 * state[1]), np.float32),
        "s": np.full(directions, 0.01, np.float32),
        "z": np.zeros(directions, np.int8),
    }
    inputs = ["x", "w", "r", "b", "", "", "", "", "s", "z", "s", "z"]
    direction = "bidirectional" if directions == 2 else "forward"
    node = helper.make_node("DynamicQuantizeLSTM", inputs, ["y"], domain=MICROSOFT, hidden_size=hidden, direction=direction)
    return _model([node], TensorProto.FLOAT, kernel.taken, TensorProto.FLOAT, constants), {"x": _floats(kernel.taken)}


def seconds_of(model: bytes, feed: Mapping[str, Array], device: str, threads: int) -> float:
    """Of one inference, when nothing else disturbs it."""
    call = open_onnx(model, device, threads).bind(feed)
    return min(_timed(call) for _ in range(TURNS))


def _timed(call: Callable[[], None]) -> float:
    call()
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(times) < 3 or (time.perf_counter() < end and len(times) < MOST_RUNS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 10]


def _model(nodes: list[Any], taken: int, shape: tuple[int, ...], given: int, constants: Mapping[str, Any]) -> bytes:
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    ports = [helper.make_tensor_value_info("x", taken, shape)], [helper.make_tensor_value_info("y", given, None)]
    graph = helper.make_graph(nodes, "kernel", *ports, stored)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


def _weights(shape: tuple[int, ...]) -> Array:
    return np.random.default_rng(0).integers(-64, 64, shape).astype(np.int8)


def _bytes(shape: tuple[int, ...]) -> Array:
    return np.random.default_rng(1).integers(64, 192, shape).astype(np.uint8)


def _floats(shape: tuple[int, ...]) -> Array:
    return np.random.default_rng(1).standard_normal(shape, np.float32)
