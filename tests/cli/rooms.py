"""A folder with a small model and data that fits it, and what a refused command says."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from click.testing import Result
from onnx import TensorProto, helper, numpy_helper

INPUTS, HIDDEN, CLASSES = 64, 256, 5


def dense_network(seed: int = 0, hidden: int = HIDDEN) -> onnx.ModelProto:
    """Two dense layers: large enough that INT8 makes a smaller file, small enough for a test."""
    draw = np.random.default_rng(seed)
    weights = {
        "w1": draw.normal(size=(INPUTS, hidden)) / 8,
        "b1": draw.normal(size=hidden) / 8,
        "w2": draw.normal(size=(hidden, CLASSES)) / 16,
        "b2": draw.normal(size=CLASSES) / 8,
    }
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "w2", "b2"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "dense",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", INPUTS])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", CLASSES])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@dataclass(frozen=True)
class Room:
    """A folder with a model, a copy of it, and labelled data."""

    path: Path
    model: Path
    copy: Path
    data: Path

    def names(self) -> set[str]:
        return {file.name for file in self.path.iterdir()}


Optkit = Callable[..., Result]


def read_terminal(terminal: int) -> str:
    """What was written to a pseudo terminal, once the other end of this one is closed."""
    seen = b""
    try:
        while part := os.read(terminal, 65536):
            seen += part
    except OSError:  # Linux says so when the other end is closed
        pass
    os.close(terminal)
    return seen.decode()


def two_lines(ended: Result) -> tuple[str, str]:
    """What a refused command said: what is wrong, and what to do. Fails where it said anything else."""
    assert ended.exit_code == 2, f"{ended.exit_code}: {ended.output}"
    assert ended.stdout == ""
    what, _, hint = ended.stderr.rstrip("\n").partition("\n")
    assert hint.startswith("hint: "), ended.stderr
    assert "\n" not in hint, ended.stderr
    return what, hint.removeprefix("hint: ")
