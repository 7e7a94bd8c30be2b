"""NVIDIA devices as CUDA's driver library sees them: names, memory in use, and seconds of work between two events of a stream.

Functions, types and units are those of NVIDIA's "CUDA Driver API". The driver counts devices as ONNX Runtime and PyTorch do, after
CUDA_VISIBLE_DEVICES; NVIDIA's management library (NVML) would count them in another order.
"""

import ctypes
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING: other streams' work neither waits for this one's nor holds it up."""

PATIENCE = 0.5
"""Seconds for which a stream is held while work is put into it."""

_HANDLE, _INTO = ctypes.c_void_p, ctypes.POINTER
_CALLED = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_TAKES: dict[str, tuple[Any, ...]] = {
    "cuInit": (ctypes.c_uint,),
    "cuDriverGetVersion": (_INTO(ctypes.c_int),),
    "cuDeviceGetCount": (_INTO(ctypes.c_int),),
    "cuDeviceGet": (_INTO(ctypes.c_int), ctypes.c_int),
    "cuDeviceGetName": (ctypes.c_char_p, ctypes.c_int, ctypes.c_int),
    "cuDevicePrimaryCtxRetain": (_INTO(_HANDLE), ctypes.c_int),
    "cuDevicePrimaryCtxRelease_v2": (ctypes.c_int,),
    "cuCtxPushCurrent_v2": (_HANDLE,),
    "cuCtxPopCurrent_v2": (_INTO(_HANDLE),),
    "cuMemGetInfo_v2": (_INTO(ctypes.c_size_t), _INTO(ctypes.c_size_t)),
    "cuStreamCreate": (_INTO(_HANDLE), ctypes.c_uint),
    "cuStreamSynchronize": (_HANDLE,),
    "cuStreamDestroy_v2": (_HANDLE,),
    "cuLaunchHostFunc": (_HANDLE, _CALLED, ctypes.c_void_p),
    "cuEventCreate": (_INTO(_HANDLE), ctypes.c_uint),
    "cuEventRecord": (_HANDLE, _HANDLE),
    "cuEventSynchronize": (_HANDLE,),
    "cuEventElapsedTime": (_INTO(ctypes.c_float), _HANDLE, _HANDLE),
    "cuEventDestroy_v2": (_HANDLE,),
}


class DriverError(Exception):
    """The driver is not there, or refused a call."""


def gpus() -> tuple[str, ...]:
    """Names of the devices, such as `NVIDIA H100 80GB HBM3`; none without a driver."""
    try:
        library = _ready()
        count = _number(library, "cuDeviceGetCount")
        return tuple(_name(library, _number(library, "cuDeviceGet", index)) for index in range(count))
    except DriverError:
        return ()


def cuda_version() -> str | None:
    """The newest CUDA that the driver can run, such as `13.0`; None without a driver."""
    try:
        version = _number(_ready(), "cuDriverGetVersion")
    except DriverError:
        return None
    return f"{version // 1000}.{version % 1000 // 10}"


def _ready() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(LIBRARY)
        for name, takes in _TAKES.items():
            function = getattr(library, name)
            function.argtypes, function.restype = takes, ctypes.c_int
    except (OSError, AttributeError) as error:
        raise DriverError(str(error)) from error
    _call(library, "cuInit", 0)
    return library


def _call(library: ctypes.CDLL, name: str, *arguments: object) -> None:
    code = getattr(library, name)(*arguments)
    if code:
        raise DriverError(f"{name} answers with error {code}")


def _number(library: ctypes.CDLL, name: str, *arguments: object) -> int:
    number = ctypes.c_int()
    _call(library, name, ctypes.byref(number), *arguments)
    return number.value


def _name(library: ctypes.CDLL, device: int) -> str:
    text = ctypes.create_string_buffer(256)
    _call(library, "cuDeviceGetName", text, len(text), device)
    return text.value.decode(errors="replace")


class Driver:
    """The driver library, ready for one device."""

    def __init__(self, index: int) -> None:
        """Raises DriverError where there is no driver, or no such device."""
        self.library = _ready()
        self._device = _number(self.library, "cuDeviceGet", index)

    def memory_used(self) -> int:
        """Bytes in use on the device, by all processes."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        with self._current():
            self.call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return total.value - free.value

    @contextmanager
    def stream(self) -> "Iterator[Stream]":
        """A stream of its own; whatever works in it has to be gone before it ends."""
        with self._current():
            handle = _HANDLE()
            self.call("cuStreamCreate", ctypes.byref(handle), NON_BLOCKING)
            try:
                yield Stream(self, handle)
            finally:
                self.library.cuStreamDestroy_v2(handle)

    @contextmanager
    def _current(self) -> Iterator[None]:
        """With the device's primary context, in which the runtimes work, as that of this thread."""
        context = _HANDLE()
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), self._device)
        try:
            self.call("cuCtxPushCurrent_v2", context)
            try:
                yield
            finally:
                self.library.cuCtxPopCurrent_v2(ctypes.byref(_HANDLE()))
        finally:
            self.library.cuDevicePrimaryCtxRelease_v2(self._device)

    def call(self, name: str, *arguments: object) -> None:
        """Call a function of the driver. Raises DriverError with the number that it answers, unless that is 0."""
        _call(self.library, name, *arguments)


class Stream:
    """A queue of work of the device."""

    def __init__(self, driver: Driver, handle: ctypes.c_void_p) -> None:
        self._driver, self._handle = driver, handle
        self._waits = False
        """Work was seen to wait for the device while it was put into the stream, which cannot be held then."""

    @property
    def address(self) -> int:
        """By which ONNX Runtime takes it as `user_compute_stream`."""
        return self._handle.value or 0

    def seconds(self, work: Callable[[], object], *, held: bool = True) -> float:
        """Between the start and the end, on the device, of what `work` puts into the stream. Raises DriverError.

        The stream is held until all of it is there: else a device that is faster than work reaches it would be timed while it waits.
        Work that itself waits for the device, or is more than the stream's queue takes, cannot be held; of it such pauses count.
        """
        if held and not self._waits:
            with self._held() as let_go:
                seconds = self._between(work, let_go)
                self._waits = not let_go()
            if not self._waits:
                return seconds
        return self._between(work, lambda: None)

    def _between(self, work: Callable[[], object], let_go: Callable[[], object]) -> float:
        call, milliseconds = self._driver.call, ctypes.c_float()
        with self._event() as start, self._event() as end:
            call("cuEventRecord", start, self._handle)
            work()
            call("cuEventRecord", end, self._handle)
            let_go()
            call("cuEventSynchronize", end)
            call("cuEventElapsedTime", ctypes.byref(milliseconds), start, end)
        return milliseconds.value / 1000

    @contextmanager
    def _held(self) -> Iterator[Callable[[], bool]]:
        """The stream does nothing until the function is called, or `PATIENCE` ends: it says whether patience sufficed."""
        asked, gone, late = threading.Event(), threading.Event(), threading.Event()

        def wait(_: object) -> None:
            if not asked.wait(PATIENCE):
                late.set()
            gone.set()

        def let_go() -> bool:
            asked.set()
            gone.wait(2 * PATIENCE)  # a device that failed calls nobody
            return not late.is_set()

        waiting = _CALLED(wait)  # must live until it was called
        self._driver.call("cuStreamSynchronize", self._handle)
        self._driver.call("cuLaunchHostFunc", self._handle, waiting, None)
        try:
            yield let_go
        finally:
            let_go()

    @contextmanager
    def _event(self) -> Iterator[ctypes.c_void_p]:
        event = _HANDLE()
        self._driver.call("cuEventCreate", ctypes.byref(event), 0)
        try:
            yield event
        finally:
            self._driver.library.cuEventDestroy_v2(event)
