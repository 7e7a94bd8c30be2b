"""Values one example at a time, within a limit of memory that is measured from outside."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import optkit
from optkit.errors import UsageError
from optkit.quantization.calibration import memory_plan
from optkit.quantization.calibration.memory_plan import COPIES, groups_within
from optkit.quantization.calibration.observe import observe
from optkit.quantization.calibration.watch import Watch
from optkit.quantization.calibration.watcher import Watcher

from ..tiny import draw, examples, read, saved, watcher

MODEL = read("(float[N,6] x) => (float[N,4] y) { r = Relu(x) m = MatMul(r, w) y = Tanh(m) }", w=draw(6, 4))
X = draw(5, 6, seed=2)
ROOM = 10**12


def small_machine(monkeypatch: pytest.MonkeyPatch, occupied: int) -> None:
    """The process seems to occupy `occupied` bytes, whatever it does."""
    monkeypatch.setattr(memory_plan, "resident", lambda: occupied)
    monkeypatch.setattr(memory_plan, "peak", lambda: occupied)
    monkeypatch.setattr(memory_plan, "RESERVE", 0.0)


@pytest.mark.parametrize("limit", [None, ROOM])
def test_one_pass_where_there_is_room(limit: int | None) -> None:
    watch = Watch(MODEL, ["x", "r", "y", "r"], examples(x=X), 1, limit)
    rows = [{name: value.copy() for name, value in values.items()} for values in watch]
    assert len(rows) == len(watch) == 5
    for row, x in zip(rows, X, strict=True):
        assert set(row) == {"x", "r", "y"}
        np.testing.assert_array_equal(row["x"][0], x)
        np.testing.assert_allclose(row["y"][0], np.tanh(np.maximum(x, 0) @ draw(6, 4)), rtol=1e-5, atol=1e-6)


def test_groups_fill_the_room_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    small_machine(monkeypatch, 1000)
    sizes = {"r": 24, "m": 16, "y": 16}  # one row of 6 or 4 float32
    assert groups_within(MODEL, list(sizes), examples(x=X), 1, 1000 + (1 + COPIES) * 24) == [["r"], ["m", "y"]]
    assert groups_within(MODEL, list(sizes), examples(x=X), 1, 1000 + 24 + 16 + 16 + COPIES * 24) == [["r", "m", "y"]]
    with pytest.raises(UsageError, match="too little") as raised:
        groups_within(MODEL, list(sizes), examples(x=X), 1, 1000 + (1 + COPIES) * 24 - 1)
    assert "largest tensor (r)" in raised.value.what
    assert raised.value.hint == "give at least 1.10 kB"


def test_several_passes_see_what_one_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = observe(MODEL, ["x", "r", "m", "y"], watcher(x=X))
    small_machine(monkeypatch, 1000)
    told: list[tuple[str, int, int]] = []
    within = Watcher(examples(x=X), max_memory=1000 + (1 + COPIES) * 24, progress=lambda *state: told.append(state))
    parts = observe(MODEL, ["x", "r", "m", "y"], within)
    assert told == [("calibrating", i + 1, 10) for i in range(10)]
    for name, seen in whole.histograms.items():
        np.testing.assert_array_equal(parts.histograms[name].counts, seen.counts)
        assert (parts.histograms[name].low, parts.histograms[name].high) == (seen.low, seen.high)


def test_a_model_made_for_several_rows_gets_them() -> None:
    model = read("(float[2,6] x) => (float[2,4] y) { y = MatMul(x, w) }", w=draw(6, 4))
    watch = Watch(model, ["y"], examples(x=X), 1)
    assert [values["y"].shape for values in watch] == [(2, 4)] * 3
    assert len(watch) == 3


def test_values_are_let_go_before_the_next_are_computed() -> None:
    rows = list(Watch(MODEL, ["r"], examples(x=X), 1))
    assert rows == [{}] * 5


def test_an_increasing_function_of_a_watched_tensor_is_not_counted_again() -> None:
    model = read("(float[N,6] x) => (float[N,6] y) { s = Sigmoid(x) y = Mul(x, s) }")
    values = draw(4000, 6, seed=4, scale=3)
    seen = observe(model, ["x", "s"], watcher(x=values.reshape(4, 6000)[:, :6])).histograms["s"]
    directly = observe(model, ["s"], watcher(x=values.reshape(4, 6000)[:, :6])).histograms["s"]
    assert (seen.total, seen.zeros, seen.width) == (directly.total, directly.zeros, directly.width)
    np.testing.assert_allclose([seen.low, seen.high], [directly.low, directly.high], rtol=1e-5)
    # a value may fall into a neighbouring bin, since only the bin of its source is known
    assert np.abs(np.repeat(np.arange(4096), seen.counts) - np.repeat(np.arange(4096), directly.counts)).max() <= 2


CHILD = """
import sys
from pathlib import Path
import numpy as np, onnx_ir as ir
from optkit.datasets import Examples
from optkit.quantization.calibration.observe import observe
from optkit.quantization.calibration.watcher import Watcher
from optkit.runtimes.memory import peak
model = ir.load(sys.argv[1])
limit = int(sys.argv[2]) or None
feeds = Examples("made in a test", {"x": np.ones((2, 8, 512, 512), np.float32)})
names = [v.name for n in model.graph for v in n.outputs]
told = []
observe(model, names, Watcher(feeds, max_memory=limit, progress=lambda what, done, total: told.append(total)))
print(peak(), told[-1])
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory of a process can be read on Linux only")
def test_real_memory_stays_within_the_limit(tmp_path: Path) -> None:
    chain = " ".join(f"t{i + 1} = Conv<pads=[1,1,1,1]>(t{i}, w)" for i in range(30))
    model = read(f"(float[N,8,512,512] t0) => (float[N,8,512,512] y) {{ {chain} y = Relu(t30) }}", w=draw(8, 8, 3, 3, scale=0.1))
    model.graph.inputs[0].name = "x"
    (tmp_path / "m.onnx").write_bytes(saved(model))

    def peak_and_steps(limit: int) -> tuple[int, int]:
        command = [sys.executable, "-c", CHILD, str(tmp_path / "m.onnx"), str(limit)]
        room = {"PYTHONPATH": str(Path(optkit.__file__).parent.parent), "PATH": ""}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=room)
        most, steps = map(int, done.stdout.split())
        return most, steps

    free, steps = peak_and_steps(0)
    assert steps == 2
    limit = int(free * 0.75)
    held, steps = peak_and_steps(limit)
    assert held <= limit
    assert steps > 2


GROWING = """
import sys
from pathlib import Path
import numpy as np, onnx_ir as ir
from optkit.quantization.calibration.observe import observe
from optkit.quantization.calibration.watcher import Watcher
from optkit.runtimes.memory import peak
class Images:
    whole = False
    def __init__(self, count): self.count = count
    def __len__(self): return self.count
    def spread(self, count): return Images(min(count, self.count))
    def feeds(self, batch=1):
        for number in range(self.count):
            yield {"x": np.random.default_rng(number).normal(size=(1, 4, 64, 64)).astype(np.float32)}
model = ir.load(sys.argv[1])
observe(model, [v.name for n in model.graph for v in n.outputs], Watcher(Images(int(sys.argv[2]))))
print(peak())
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory of a process can be read on Linux only")
def test_memory_does_not_grow_with_the_examples(tmp_path: Path) -> None:
    chain = " ".join(f"t{i + 1} = Conv<pads=[1,1,1,1]>(t{i}, w) r{i + 1} = Relu(t{i + 1})" for i in range(6)).replace("(t0,", "(x,")
    model = read(f"(float[N,4,64,64] x) => (float[N,4,64,64] y) {{ {chain} y = Neg(t6) }}", w=draw(4, 4, 3, 3, scale=0.3))
    (tmp_path / "m.onnx").write_bytes(saved(model))
    room = {"PYTHONPATH": str(Path(optkit.__file__).parent.parent), "PATH": ""}
    peaks = []
    for count in ("64", "1024"):
        command = [sys.executable, "-c", GROWING, str(tmp_path / "m.onnx"), count]
        peaks.append(int(subprocess.run(command, capture_output=True, text=True, check=True, env=room).stdout))
    assert peaks[1] < 1.05 * peaks[0]
