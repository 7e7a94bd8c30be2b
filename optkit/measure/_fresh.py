"""Cold starts: each in a process of its own, models in turns."""

import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from optkit.arrays import Array
from optkit.formats.torch_origin import trusted
from optkit.meters import Fresh
from optkit.progress import Progress
from optkit.timing.processes import command, failed, store_feeds, surroundings

FEWEST, MOST = 6, 9
"""Processes per model. Of fewer than six pairs all favour one model by chance alone more than once in twenty times."""


def cold_starts(
    models: Sequence[Path],
    feeds: Sequence[Mapping[str, Array]],
    device: str,
    threads: int,
    seconds: float,
    progress: Progress,
    interrupted: Callable[[], None] | None = None,
) -> list[list[Fresh]]:
    """Start every model with its feed in fresh processes, in turns and in alternating order, for about `seconds`.

    Ctrl-C ends it with the turns done by then, where somebody wants to hear of it by `interrupted`.
    Raises what the model raised in its process, and ModelError when the process itself died.
    """
    found: list[list[Fresh]] = [[] for _ in models]
    with tempfile.TemporaryDirectory(prefix="optkit-") as folder:
        requests = _requests(Path(folder), models, feeds, device, threads)
        start = time.perf_counter()
        for turn in range(MOST):
            order = range(len(models)) if turn % 2 == 0 else reversed(range(len(models)))
            try:
                for i in order:
                    found[i].append(_start(requests[i], models[i]))
            except KeyboardInterrupt:
                if interrupted is None:
                    raise
                interrupted()
                return [starts[:turn] for starts in found]
            progress("cold starts", turn + 1, MOST)
            if turn + 1 >= FEWEST and time.perf_counter() - start >= seconds:
                break
    return found


def _requests(
    folder: Path, models: Sequence[Path], feeds: Sequence[Mapping[str, Array]], device: str, threads: int
) -> list[dict[str, Any]]:
    warm = folder / "warm.onnx"
    warm.write_bytes(_smallest_model())
    requests = []
    for i, (model, feed) in enumerate(zip(models, feeds, strict=True)):
        stored = folder / f"feed{i}.npz"
        store_feeds(stored, [feed])
        requests.append(
            {
                "model": str(model.absolute()),
                "warm": str(warm),
                "device": device,
                "threads": threads,
                "feed": str(stored),
                "factories": trusted(),
            }
        )
    return requests


def _start(request: Mapping[str, Any], model: Path) -> Fresh:
    done = subprocess.run(command("optkit.timing.cold_start", request), capture_output=True, text=True, check=False, env=surroundings())
    if done.returncode == 0:
        return Fresh(**json.loads(done.stdout.splitlines()[-1]))
    raise failed(done.returncode, done.stderr, model)


def _smallest_model() -> bytes:
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Abs", ["x"], ["y"])], "smallest", value[:1], value[1:])
    opsets = [onnx.helper.make_opsetid("", 13)]
    return bytes(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())
