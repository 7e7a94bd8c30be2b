"""Calls of CUDA's driver, held against a library that stands in for it: their order, arguments, units, and what errors leave behind."""

import ctypes
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from optkit.runtimes import cuda_driver
from optkit.runtimes._providers import CUDA, Provider
from optkit.runtimes.cuda_driver import Driver, DriverError
from optkit.runtimes.memory import nvidia_memory_used
from optkit.timing import device_time as timing
from optkit.timing.device_time import device_time

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="compiles a stand-in for the driver, and there is no C compiler")
X = {"x": np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)}
READY = ["cuInit(0)", "cuDeviceGet(1)", "retain(41)", "push(context)"]
GONE = ["pop()", "release(41)"]
TIMED = ["event(0)", "event(0)", "wait(stream)", "record(0, stream)", "record(1, stream)", "wait for(1)", "elapsed(0, 1)"]


class StandIn:
    """What it was told, and what it is to refuse."""

    def __init__(self, path: Path) -> None:
        self.path, self.library = path, ctypes.CDLL(str(path))
        self.library.told.restype = ctypes.c_char_p
        self.start_anew()

    def start_anew(self, refuse: str = "") -> None:
        self.library.start_anew(refuse.encode())

    @property
    def told(self) -> list[str]:
        lines: bytes = self.library.told()
        return lines.decode().splitlines()


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> StandIn:
    made = tmp_path_factory.mktemp("driver") / "libstandin.so"
    source = Path(__file__).with_name("stand_in_driver.c")
    subprocess.run([str(COMPILER), "-shared", "-fPIC", "-o", str(made), str(source)], check=True)
    return StandIn(made)


@pytest.fixture
def driver(compiled: StandIn, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    compiled.start_anew()
    monkeypatch.setattr(cuda_driver, "LIBRARY", str(compiled.path))
    return compiled


@needs_compiler
def test_memory_in_use_is_what_is_not_free(driver: StandIn) -> None:
    assert nvidia_memory_used(1) == 69_999_999_999, "more than 32 bits hold"
    assert driver.told == [*READY, "memory()", *GONE]


@needs_compiler
def test_work_is_timed_between_two_events_in_its_stream(driver: StandIn) -> None:
    with Driver(1).stream() as stream:
        assert stream.address == 0x7F00000000002222
        assert stream.seconds(lambda: driver.library.cuInit(7)) == 0.0125, "milliseconds are made seconds"
    work = TIMED.index("record(1, stream)")
    ended = ["end event(1)", "end event(0)", "end stream(stream)"]
    assert driver.told == [*READY, "stream(1)", *TIMED[:work], "cuInit(7)", *TIMED[work:], *ended, *GONE]


@needs_compiler
@pytest.mark.parametrize("refused", ["cuInit", "cuDeviceGet", "retain", "push", "stream", "event", "wait", "record", "wait for", "elapsed"])
def test_what_was_taken_is_given_back_whatever_is_refused(driver: StandIn, refused: str) -> None:
    driver.start_anew(refused)
    with pytest.raises(DriverError, match="answers with error 999"), Driver(0).stream() as stream:
        stream.seconds(lambda: None)
    done = Counter(line.partition("(")[0] for line in driver.told)
    for taken, given in (("retain", "release"), ("push", "pop"), ("stream", "end stream"), ("event", "end event")):
        assert done[given] == done[taken] - (taken == refused), "what was refused was not taken"


@needs_compiler
def test_work_that_fails_leaves_nothing_behind(driver: StandIn) -> None:
    with pytest.raises(ZeroDivisionError), Driver(0).stream() as stream:
        stream.seconds(lambda: 1 / 0)
    assert driver.told[-5:] == ["end event(1)", "end event(0)", "end stream(stream)", "pop()", "release(40)"]


@needs_compiler
def test_a_device_that_is_not_there(driver: StandIn) -> None:
    with pytest.raises(DriverError, match="cuDeviceGet answers with error 101"):
        Driver(2)
    assert nvidia_memory_used(2) is None


def test_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_driver, "LIBRARY", "libthereisnone.so.1")
    with pytest.raises(DriverError, match="libthereisnone"):
        Driver(0)
    assert nvidia_memory_used(0) is None


def test_a_library_that_lacks_a_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_driver, "LIBRARY", None)  # this process
    with pytest.raises(DriverError, match="cuInit"):
        Driver(0)


@needs_compiler
def test_answers_are_queued_and_divided_by_how_many_there_were(
    driver: StandIn, classifier: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the CPU, which computes as it is told: what is asked of the driver and of ONNX Runtime is the same."""
    (tmp_path / "model.onnx").write_bytes(classifier)
    asked: list[Any] = []
    run = ort.InferenceSession.run_with_iobinding

    def watched(*given: Any) -> None:
        asked.append(given[2:])
        run(*given)

    monkeypatch.setattr(ort.InferenceSession, "run_with_iobinding", watched)
    found = device_time(tmp_path / "model.onnx", "cpu", 1, 1, X)
    count = int(timing.SECONDS / 0.0125)
    assert found == pytest.approx(0.0125 / count)
    queued = [options[0] for options in asked if options]
    assert len(queued) == timing.WARM_UP + count
    assert {each.get_run_config_entry("disable_synchronize_execution_providers") for each in queued} == {"1"}
    assert driver.told.count("elapsed(6, 7)") == 1
    assert driver.told[-3:] == ["end stream(stream)", *GONE]


@needs_compiler
@pytest.mark.parametrize("refused", ["stream", "elapsed"])
def test_what_cannot_be_timed_is_left_out(driver: StandIn, classifier: bytes, tmp_path: Path, refused: str) -> None:
    (tmp_path / "model.onnx").write_bytes(classifier)
    driver.start_anew(refused)
    assert device_time(tmp_path / "model.onnx", "cpu", 1, 1, X) is None
    driver.start_anew()
    assert device_time(tmp_path / "missing.onnx", "cpu", 1, 1, X) is None
    assert driver.told[-3:] == ["end stream(stream)", *GONE]


@pytest.mark.parametrize("name", [CUDA, "TensorrtExecutionProvider"])
def test_the_stream_is_handed_to_every_provider_that_computes_on_the_device(name: str) -> None:
    chain = Provider("there", name, "cuda", 1, stream=0x7F00000000002222)._chain()
    given = {"device_id": "1", "user_compute_stream": "9151314442816856610"}
    assert chain[:-1] == [(each, given) for each in dict.fromkeys((name, CUDA))]
    assert "user_compute_stream" not in str(Provider("there", name, "cuda", 1)._chain()), "0 is no stream of ours"
