"""How often a comparison cries wolf, and how often it finds a wolf: rates over many repetitions, with intervals.

`same`: a model against a copy of itself; every difference claimed in its latency is a false alarm. `slower`: a model of about 5 ms
against one with a twentieth more work, and a fake model that waits against one that waits a twentieth longer; every repetition that does
not find it is a miss. With `--load N` as many other processes keep the machine busy meanwhile.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from optkit.compare import Says, compare_all
from optkit.datasets import Examples
from optkit.formats import read_artifact
from optkit.measure import Settings, measure
from optkit.stats.proportions import share
from optkit.stats.ratio import ratio_of_medians
from optkit.timing.lanes import Calls, Here
from optkit.timing.rounds import time_rounds

WIDTH = 512
LAYERS = 40
"""Products of a 16×512 by a 512×512 matrix: about 5 ms on one core of a server of the year 2023."""
BAND = 0.01
"""Differences below it are of no consequence, as `optkit compare` has it for latency."""
WAITS = 0.005


def main() -> None:
    """Repeat every kind of comparison and print the rates."""
    asked = _arguments()
    print("| comparison | claimed | of | rate (95 %) |\n| --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as folder, _load(asked.load):
        for name in asked.kinds.split(","):
            one, other, differs = KINDS[name]
            judge = _judge(Path(folder), one, other, asked.seconds, asked.device)
            found = [judge(asked.seed + i) for i in range(asked.repetitions)]
            claimed = sum(says == ("worse" if differs else says) and says in ("better", "worse") for says in found)
            rate = share(claimed, len(found))
            print(f"| {name} | {claimed} | {len(found)} | {rate.value:.1%} ({rate.low:.1%} to {rate.high:.1%}) |", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", default=",".join(KINDS), help=f"of {', '.join(KINDS)}")
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=5.0, help="time of one comparison, as optkit compare --time")
    parser.add_argument("--device", default="cpu", help="where real models run; the fake one computes on the CPU")
    parser.add_argument("--load", type=int, default=0, help="other processes that compute all the while")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def make_model(path: Path, layers: int, seed: int = 0) -> None:
    """A chain of matrix products and activations."""
    dice = np.random.default_rng(seed)
    nodes, weights = [], []
    for i in range(layers):
        values = (dice.standard_normal((WIDTH, WIDTH)) * np.sqrt(2 / WIDTH)).astype(np.float32)
        weights.append(onnx.numpy_helper.from_array(values, f"w{i}"))
        nodes += [helper.make_node("MatMul", [f"x{i}", f"w{i}"], [f"m{i}"]), helper.make_node("Relu", [f"m{i}"], [f"x{i + 1}"])]
    ports = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", WIDTH]) for name in ("x0", f"x{layers}")]
    graph = helper.make_graph(nodes, "chain", ports[:1], ports[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def _judge(folder: Path, one: float, other: float, seconds: float, device: str) -> Callable[[int], Says]:
    """A comparison that can be repeated with other seeds. Negative numbers are waits of a fake model, others layers of a real one."""
    if one < 0:
        return lambda seed: _fake(-one, -other, seconds, seed)
    before, after = folder / f"{one:g}.onnx", folder / f"after-{other:g}.onnx"
    make_model(before, round(one))
    if one == other:
        shutil.copyfile(before, after)
    else:
        make_model(after, round(other))
    rows = np.random.default_rng(0).standard_normal((64, WIDTH)).astype(np.float32)
    return lambda seed: _real((before, after), Examples("made up", {"x0": rows}), seconds, seed, device)


def _real(models: Sequence[Path], examples: Examples, seconds: float, seed: int, device: str) -> Says:
    settings = Settings(devices=(device,), batches=(16,), seconds=seconds, metrics=(), meters=("latency",), seed=seed)
    measured = measure([read_artifact(model) for model in models], examples, settings)
    (found,) = (delta for delta in compare_all(measured, seed)[0].deltas if delta.metric == "latency_median")
    return found.verdict


def _fake(one: float, other: float, seconds: float, seed: int) -> Says:
    """A runtime that only waits, and whose every opening is a little faster or slower than the last, as those of real ones are."""
    dice = np.random.default_rng(seed)

    def opener(waits: float) -> Callable[[], Calls]:
        def open_and_bind() -> Calls:
            luck = float(np.exp(dice.normal(0, 0.01)))
            return [lambda: _spin(waits * luck)]

        return open_and_bind

    times = time_rounds([Here(opener(waits), "undisturbed") for waits in (one, other)], seconds=seconds, seed=seed)
    ratio = ratio_of_medians(times[0], times[1], seed)
    return "worse" if ratio.low > 1 + BAND else "better" if ratio.high < 1 - BAND else "undecided"


def _spin(seconds: float) -> None:
    """Compute for so long; other programs that take the processor meanwhile make it no shorter."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


@contextmanager
def _load(processes: int) -> Iterator[None]:
    """Other work: it computes for a while and rests for a while, at random, as other people's programs do."""
    code = (
        "import random, time\nwhile True:\n e = time.time() + random.random()\n while time.time() < e: pass\n time.sleep(random.random())"
    )
    running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(processes)]
    try:
        yield
    finally:
        for each in running:
            each.kill()
            each.wait()


KINDS: dict[str, tuple[float, float, bool]] = {
    "same": (LAYERS, LAYERS, False),
    "fake same": (-WAITS, -WAITS, False),
    "slower": (LAYERS, LAYERS * 1.05, True),
    "fake slower": (-WAITS, -WAITS * 1.05, True),
}
"""What is compared with what: layers of a real model, or, below 0, seconds that a fake one waits; and whether the second is slower."""

if __name__ == "__main__":
    main()
