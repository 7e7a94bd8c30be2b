"""Ctrl-C and SIGTERM unwind the program like an exception, wherever it is when they come."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PAUSE = 0.01
"""Seconds until a stop that was dropped comes again."""


@contextmanager
def unwinding_when_stopped() -> Iterator[None]:
    """Let SIGTERM unwind like an exception, so that half-made files are removed; and neither it nor Ctrl-C be missed.

    Python drops an exception that is raised in a finalizer or in a callback of the garbage collector; a signal's that comes
    just then would be lost, and the program go on.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    hook = sys.unraisablehook

    def come_again(dropped: "sys.UnraisableHookArgs") -> None:
        number = _stop(dropped.exc_value)
        if number is None:
            hook(dropped)
        else:
            again = threading.Timer(PAUSE, _send, [number])
            again.daemon = True
            again.start()

    sys.unraisablehook = come_again
    try:
        yield
    finally:
        sys.unraisablehook = hook
        signal.signal(signal.SIGTERM, handler)


def _stop(error: BaseException | None) -> signal.Signals | None:
    if isinstance(error, KeyboardInterrupt):
        return signal.SIGINT
    if isinstance(error, SystemExit) and error.code == 128 + signal.SIGTERM:
        return signal.SIGTERM
    return None


def _send(number: signal.Signals) -> None:
    if sys.platform == "win32":
        signal.raise_signal(number)
    else:  # so that what the main thread waits for is interrupted too
        main = threading.main_thread().ident
        if main is not None:
            signal.pthread_kill(main, number)
