"""An NVIDIA device as CUDA's driver library sees it: memory in use, and seconds of work between two events of a stream.

Functions, types and units are those of NVIDIA's "CUDA Driver API". The driver counts devices as ONNX Runtime and PyTorch do, after
CUDA_VISIBLE_DEVICES; NVIDIA's management library (NVML) would count them in another order.
"""

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING: other streams' work neither waits for this one's nor holds it up."""

_HANDLE, _INTO = ctypes.c_void_p, ctypes.POINTER
_TAKES = {
    "cuInit": (ctypes.c_uint,),
    "cuDeviceGet": (_INTO(ctypes.c_int), ctypes.c_int),
    "cuDevicePrimaryCtxRetain": (_INTO(_HANDLE), ctypes.c_int),
    "cuDevicePrimaryCtxRelease_v2": (ctypes.c_int,),
    "cuCtxPushCurrent_v2": (_HANDLE,),
    "cuCtxPopCurrent_v2": (_INTO(_HANDLE),),
    "cuMemGetInfo_v2": (_INTO(ctypes.c_size_t), _INTO(ctypes.c_size_t)),
    "cuStreamCreate": (_INTO(_HANDLE), ctypes.c_uint),
    "cuStreamSynchronize": (_HANDLE,),
    "cuStreamDestroy_v2": (_HANDLE,),
    "cuEventCreate": (_INTO(_HANDLE), ctypes.c_uint),
    "cuEventRecord": (_HANDLE, _HANDLE),
    "cuEventSynchronize": (_HANDLE,),
    "cuEventElapsedTime": (_INTO(ctypes.c_float), _HANDLE, _HANDLE),
    "cuEventDestroy_v2": (_HANDLE,),
}


class DriverError(Exception):
    """The driver is not there, or refused a call."""


class Driver:
    """The driver library, ready for one device."""

    def __init__(self, index: int) -> None:
        """Raises DriverError where there is no driver, or no such device."""
        try:
            self.library = ctypes.CDLL(LIBRARY)
            for name, takes in _TAKES.items():
                function = getattr(self.library, name)
                function.argtypes, function.restype = takes, ctypes.c_int
        except (OSError, AttributeError) as error:
            raise DriverError(str(error)) from error
        self.call("cuInit", 0)
        number = ctypes.c_int()
        self.call("cuDeviceGet", ctypes.byref(number), index)
        self._device = number.value

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
        code = getattr(self.library, name)(*arguments)
        if code:
            raise DriverError(f"{name} answers with error {code}")


class Stream:
    """A queue of work of the device."""

    def __init__(self, driver: Driver, handle: ctypes.c_void_p) -> None:
        self._driver, self._handle = driver, handle

    @property
    def address(self) -> int:
        """By which ONNX Runtime takes it as `user_compute_stream`."""
        return self._handle.value or 0

    def seconds(self, work: Callable[[], object]) -> float:
        """Between the start and the end, on the device, of what `work` puts into the stream. Raises DriverError."""
        call, milliseconds = self._driver.call, ctypes.c_float()
        with self._event() as start, self._event() as end:
            call("cuStreamSynchronize", self._handle)
            call("cuEventRecord", start, self._handle)
            work()
            call("cuEventRecord", end, self._handle)
            call("cuEventSynchronize", end)
            call("cuEventElapsedTime", ctypes.byref(milliseconds), start, end)
        return milliseconds.value / 1000

    @contextmanager
    def _event(self) -> Iterator[ctypes.c_void_p]:
        event = _HANDLE()
        self._driver.call("cuEventCreate", ctypes.byref(event), 0)
        try:
            yield event
        finally:
            self._driver.library.cuEventDestroy_v2(event)
