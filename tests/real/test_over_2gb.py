"""A model over 2 GB, its weights beside it: smaller files in bounded memory and disk."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper

from optkit.formats.onnx import model_size

SIZE, WORDS, LAYERS = 8192, 32768, 4
WEIGHTS = (WORDS + LAYERS * SIZE) * SIZE * 4
"""Bytes: 2 GiB, half of them in a table."""
MOST_MEMORY = 5 * WEIGHTS
"""Bytes: the runtime's own copies of what it compares; 11 GB."""
MOST_DISK = 4 * WEIGHTS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(psutil.virtual_memory().available < 1.2 * MOST_MEMORY, reason="takes 12 GB of memory"),
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory of a process is read on Linux only"),
]
RUN = """
import sys
from optkit.cli import main
from optkit.runtimes.memory import peak
try:
    main()
finally:
    print(peak(), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of words and matrix products; what they read and give stays near one."""
    folder = tmp_path_factory.mktemp("large")
    if shutil.disk_usage(folder).free < MOST_DISK:
        pytest.skip("takes 9 GB of disk")
    block = np.random.default_rng(0).standard_normal((SIZE, SIZE), np.float32) / np.float32(SIZE**0.5)
    nodes, last = [helper.make_node("Gather", ["table", "ids"], ["t"], "t")], "t"
    weights: list[TensorProto] = []
    with (folder / "weights.bin").open("wb") as file:
        for name, rows in (("table", WORDS), *((f"w{i}", SIZE) for i in range(LAYERS))):
            tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[rows, SIZE], data_location=TensorProto.EXTERNAL)
            for key, value in (("location", "weights.bin"), ("offset", file.tell()), ("length", rows * SIZE * 4)):
                tensor.external_data.add(key=key, value=str(value))
            for part in range(rows // SIZE):
                file.write(np.roll(block, len(weights) + part, axis=0).data)
            weights.append(tensor)
        for i in range(LAYERS):
            nodes += [
                helper.make_node("MatMul", [last, f"w{i}"], [f"m{i}"], f"m{i}"),
                helper.make_node("Tanh", [f"m{i}"], [f"t{i}"], f"t{i}"),
            ]
            last = f"t{i}"
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["N"])
    answer = helper.make_tensor_value_info(last, TensorProto.FLOAT, ["N", SIZE])
    graph = helper.make_graph(nodes, "large", [ids], [answer], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "model.onnx")
    return folder / "model.onnx"


@pytest.mark.parametrize(("precision", "share"), [(["--int8", "--method", "weights", "--accept-size-only"], 0.26), (["--fp16"], 0.51)])
def test_a_smaller_file_within_bounds(large: Path, precision: list[str], share: float, tmp_path: Path) -> None:
    made = tmp_path / "made.onnx"
    command = [sys.executable, "-c", RUN, "quantize", str(large), *precision, "-o", str(made), "--no-cache"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert int(done.stderr.split()[-1]) < MOST_MEMORY
    assert model_size(made) < share * model_size(large)
    assert [f.name for f in tmp_path.iterdir()] == ["made.onnx"]
    made.unlink()
