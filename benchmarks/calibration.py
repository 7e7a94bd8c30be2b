"""What calibration costs: optkit and onnxruntime.quantization side by side, each in a process of its own.

Both find entropy ranges for the activations of the same detector-like CNN (61 convolutions, SiLU) from the same images, on one
thread. Images are made one at a time from their number, so that neither side holds them. Printed: CPU seconds of the whole process
and the most memory it had.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from optkit.arrays import Array

SIDES = ("optkit", "onnxruntime")
STAGES = ((32, 2), (64, 6), (128, 9), (256, 9), (512, 2))
"""Channels and blocks after each halving of the image: two convolutions a block, and one to enter each stage."""


def main() -> None:
    """Start every side with every number of images, and print the table."""
    asked = _arguments()
    if asked.child:
        side, model, count = asked.child
        print(json.dumps(calibrated(side, Path(model), int(count), asked.size)))
        return
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "detector.onnx"
        make_detector(model, asked.size)
        rows = {
            (side, n): _in_a_process(side, model, n, asked.size) for side in SIDES for n in map(int, getattr(asked, side).split(",")) if n
        }
    print(table(rows))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for side, usual, says in (
        ("optkit", "16,64,256,1024", "0 leaves it out"),
        ("onnxruntime", "16,64", "it keeps all values of all images"),
    ):
        parser.add_argument(f"--{side}", default=usual, metavar="N,N", help=f"numbers of images for {side}; {says}")
    parser.add_argument("--size", type=int, default=320, help="pixels on a side")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def _in_a_process(side: str, model: Path, count: int, size: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--size", str(size), "--child", side, str(model), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{side} with {count} images ended with {done.returncode}: {done.stderr.strip()[-300:]}", file=sys.stderr)
        return {"cpu": float("nan"), "peak": float("nan"), "tensors": 0}
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(rows: dict[tuple[str, int], dict[str, float]]) -> str:
    """One line for each number of images."""
    lines = ["images | optkit CPU s | peak MB | onnxruntime CPU s | peak MB | faster | memory", "--- | --- | --- | --- | --- | --- | ---"]
    for count in sorted({n for _, n in rows}):
        ours, theirs = (rows.get((side, count)) for side in SIDES)
        cells = [f"{r[key]:.{digits}f}" if r else "–" for r in (ours, theirs) for key, digits in (("cpu", 1), ("peak", 0))]
        both = [f"{theirs['cpu'] / ours['cpu']:.1f}×", f"1/{theirs['peak'] / ours['peak']:.1f}"] if ours and theirs else ["–", "–"]
        lines.append(" | ".join([f"{count:,}", *cells, *both]))
    watched = {side: int(r["tensors"]) for (side, _), r in rows.items()}
    return "\n".join([*lines, "", "tensors with ranges: " + ", ".join(f"{side} {n}" for side, n in watched.items())])


def make_detector(path: Path, size: int) -> None:
    """Random weights whose variance keeps activations near one from end to end."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []

    def convolution(source: str, before: int, after: int, kernel: int, stride: int) -> str:
        n = len(weights) // 2
        scale = np.sqrt(2.8 / (before * kernel**2))  # SiLU keeps 0.36 of the mean square of what it reads
        weights.append(numpy_helper.from_array((random.normal(size=(after, before, kernel, kernel)) * scale).astype(np.float32), f"w{n}"))
        weights.append(numpy_helper.from_array(random.normal(scale=0.1, size=after).astype(np.float32), f"b{n}"))
        pads = [kernel // 2] * 4
        nodes.append(helper.make_node("Conv", [source, f"w{n}", f"b{n}"], [f"c{n}"], f"conv{n}", strides=[stride] * 2, pads=pads))
        nodes.append(helper.make_node("Sigmoid", [f"c{n}"], [f"s{n}"], f"sigmoid{n}"))
        nodes.append(helper.make_node("Mul", [f"c{n}", f"s{n}"], [f"a{n}"], f"silu{n}"))
        return f"a{n}"

    tensor, channels = "images", 3
    for wide, blocks in STAGES:
        tensor, channels = convolution(tensor, channels, wide, 3, 2), wide
        for block in range(blocks):
            inner = convolution(convolution(tensor, wide, wide // 2, 1, 1), wide // 2, wide, 3, 1)
            nodes.append(helper.make_node("Add", [tensor, inner], [f"r{wide}_{block}"], f"add{wide}_{block}"))
            tensor = nodes[-1].output[0]
    nodes.append(helper.make_node("GlobalAveragePool", [tensor], ["y"], "pool"))
    read = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, size, size])
    gives = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", channels, 1, 1])
    graph = helper.make_graph(nodes, "detector", [read], [gives], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def image(number: int, size: int) -> Array:
    """Soft blobs with some noise, in 0 to 1."""
    random = np.random.default_rng(number)
    coarse = random.random((1, 3, size // 16, size // 16), np.float32).repeat(16, 2).repeat(16, 3)
    return np.clip(coarse + 0.1 * random.standard_normal((1, 3, size, size), np.float32), 0, 1)


class Images:
    """Images by number, one at a time (what optkit's calibration reads)."""

    whole = False

    def __init__(self, numbers: range, size: int) -> None:
        self.numbers, self.size = numbers, size

    def __len__(self) -> int:
        return len(self.numbers)

    def spread(self, count: int) -> "Images":
        """At most `count` of them, evenly spaced."""
        return Images(self.numbers[:: -(-len(self) // count)], self.size)

    def feeds(self, batch: int = 1) -> Iterator[dict[str, Array]]:
        """Each as the model wants it."""
        for number in self.numbers:
            yield {"images": image(number, self.size)}


def calibrated(side: str, model: Path, count: int, size: int) -> dict[str, float]:
    """Find ranges from `count` images, and say what that cost this process."""
    tensors = SIDE[side](model, Images(range(count), size))
    return {"cpu": time.process_time(), "peak": peak_memory() / 1e6, "tensors": tensors}


def with_optkit(model: Path, images: Images) -> int:
    """All that `optkit quantize` learns from examples: ranges, and channel means for its biases."""
    from optkit.formats.onnx import load_model
    from optkit.quantization.calibration.watcher import Watcher
    from optkit.quantization.float_graph.prepare import prepare
    from optkit.quantization.variants.calibrate import calibrate
    from optkit.quantization.variants.candidates import candidates

    prepared = prepare(load_model(model)).model
    treatments = candidates(prepared, "static", True, (), True)
    return len(calibrate(prepared, treatments, Watcher(images), "entropy").grids)


def with_onnxruntime(model: Path, images: Images) -> int:
    """ONNX Runtime's own calibrator, as its `quantize_static` uses it."""
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, create_calibrator

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.feeds = images.feeds()

        def get_next(self) -> dict[str, Array] | None:
            return next(self.feeds, None)

    watched = model.with_name("watched.onnx")
    finder = create_calibrator(str(model), None, augmented_model_path=str(watched), calibrate_method=CalibrationMethod.Entropy)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    finder.infer_session = onnxruntime.InferenceSession(str(watched), options, providers=["CPUExecutionProvider"])
    finder.collect_data(Reader())
    return len(finder.compute_data().data)


SIDE = {"optkit": with_optkit, "onnxruntime": with_onnxruntime}


def peak_memory() -> int:
    """Most bytes that this process had in memory."""
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage says includes the process that started this one
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
