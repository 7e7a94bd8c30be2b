"""Calls of CUDA's driver, held against a library that stands in for it: their order, arguments, units, and what errors leave behind."""

import ctypes
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from optkit.runtimes import cuda_driver
from optkit.runtimes._providers import CUDA, Provider
from optkit.runtimes.cuda_driver import Driver, DriverError, cuda_version, gpus
from optkit.runtimes.memory import nvidia_memory_used
from optkit.runtimes.onnxruntime import open_onnx
from optkit.timing import device_time as timing
from optkit.timing.device_time import device_time, stream_of

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="compiles a stand-in for the driver, and there is no C compiler")
X = {"x": np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)}
READY = ["cuInit(0)", "cuDeviceGet(1)", "retain(41)", "push(context)"]
GONE = ["pop()", "release(41)"]
TIMED = ["wait(stream)", "hold(stream)", "event(0)", "event(0)", "record(0, stream)", "record(1, stream)", "wait for(1)", "elapsed(0, 1)"]


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
    subprocess.run([str(COMPILER), "-shared", "-fPIC", "-pthread", "-o", str(made), str(source)], check=True)
    return StandIn(made)


def timed(model: bytes) -> float | None:
    """On the CPU, which computes as it is told."""
    with stream_of(1) as stream:
        return None if stream is None else device_time(open_onnx(model, "cpu"), stream, X)


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
@pytest.mark.parametrize(
    "refused", ["cuInit", "cuDeviceGet", "retain", "push", "stream", "wait", "hold", "event", "record", "wait for", "elapsed"]
)
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
    assert gpus() == ()
    assert cuda_version() is None


def test_a_library_that_lacks_a_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_driver, "LIBRARY", None)  # this process
    with pytest.raises(DriverError, match="cuInit"):
        Driver(0)


@needs_compiler
def test_answers_are_queued_and_each_is_timed(driver: StandIn, classifier: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked of the driver and of ONNX Runtime is the same as on a GPU."""
    asked: list[Any] = []
    run = ort.InferenceSession.run_with_iobinding

    def watched(*given: Any) -> None:
        asked.append(given[2:])
        run(*given)

    monkeypatch.setattr(ort.InferenceSession, "run_with_iobinding", watched)
    monkeypatch.setattr(timing, "WARM_UP", 0.0)
    assert timed(classifier) == 0.0125, "the median of answers, not their sum"
    queued = [options[0] for options in asked if options]
    assert timing.SECONDS < 0.0125 * (len(queued) + 0.5) < timing.SECONDS + 0.025
    assert {each.get_run_config_entry("disable_synchronize_execution_providers") for each in queued} == {"1"}
    assert driver.told.count("hold(stream)") == len(queued)
    assert driver.told[-3:] == ["end stream(stream)", *GONE]


@needs_compiler
def test_warm_up_is_not_held(driver: StandIn, classifier: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that is taken in it may wait for the device."""
    monkeypatch.setattr(timing, "WARM_UP", 0.02)
    assert timed(classifier) is not None
    assert driver.told.index("record(0, stream)") < driver.told.index("hold(stream)")


@needs_compiler
def test_work_that_waits_for_the_device_is_let_go_and_not_held_again(driver: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_driver, "PATIENCE", 0.01)
    with Driver(1).stream() as stream:
        for _ in range(2):
            assert stream.seconds(lambda: time.sleep(0.1)) == 0.0125
    assert driver.told.count("hold(stream)") == 1
    assert sum(line.startswith("elapsed") for line in driver.told) == 3, "what was let go too early is timed anew"


@needs_compiler
def test_devices_have_names_and_the_driver_a_version(driver: StandIn) -> None:
    assert gpus() == ("Device 40", "Device 41")
    assert cuda_version() == "13.2"
    driver.start_anew("count")
    assert gpus() == ()


@needs_compiler
@pytest.mark.parametrize("refused", ["stream", "elapsed"])
def test_what_cannot_be_timed_is_left_out(driver: StandIn, classifier: bytes, refused: str) -> None:
    driver.start_anew(refused)
    assert timed(classifier) is None
    assert [line for line in driver.told if line.startswith("release")] == ["release(41)"]


@pytest.mark.parametrize("name", [CUDA, "TensorrtExecutionProvider"])
def test_the_stream_is_handed_to_every_provider_that_computes_on_the_device(name: str) -> None:
    chain = Provider("there", name, "cuda", 1, stream=0x7F00000000002222)._chain()
    given = {"device_id": "1", "user_compute_stream": "9151314442816856610"}
    assert chain[:-1] == [(each, given) for each in dict.fromkeys((name, CUDA))]
    assert "user_compute_stream" not in str(Provider("there", name, "cuda", 1)._chain()), "0 is no stream of ours"
