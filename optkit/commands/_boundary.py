"""Where every error ends: in words on stderr and an exit code. What nobody foresaw leaves a file to report it with."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import NoReturn

import click

from optkit.commands._stops import unwinding_when_stopped
from optkit.errors import OptkitError

USER_CAN_MEND, BUG, INTERRUPTED, BROKEN_PIPE = 2, 3, 130, 141


def guarded(work: Callable[[], object]) -> NoReturn:
    """Do `work` and exit: with the number it returns or 0, or as the error says."""
    _write_what_can_be_written()
    try:
        with unwinding_when_stopped():
            code = work()
            sys.stdout.flush()
    except (KeyboardInterrupt, click.Abort):
        # `python -m` dies of SIGINT at exit, whatever the code, once an interrupt went through exec() of a text, which dataclasses and
        # named tuples use; another exec() makes it forget
        exec("")
        _end("interrupted", INTERRUPTED)
    except click.ClickException as error:
        _end(_usage(error), error.exit_code if isinstance(error, click.UsageError) else USER_CAN_MEND)
    except OptkitError as error:
        _end(str(error), error.exit_code)
    except BrokenPipeError:
        # whoever read our output has gone; without this, Python would complain when it flushes at exit
        _discard_output()
        sys.exit(BROKEN_PIPE)
    except Exception as error:
        told = _not_our_fault(error)
        _end(str(told), USER_CAN_MEND) if told else _end(_bug_report(error), BUG)
    sys.exit(code if isinstance(code, int) else 0)


def _write_what_can_be_written() -> None:
    """A terminal that has no × or → shows a question mark in its place."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def _usage(error: click.ClickException) -> str:
    if not isinstance(error, click.UsageError) or error.ctx is None or isinstance(error, click.exceptions.NoArgsIsHelpError):
        return error.format_message()
    text = error.format_message().rstrip(".")
    hint = "" if "\nhint: " in text else f"\nhint: {error.ctx.command_path} --help shows what it takes"
    return f"{error.ctx.command_path}: {text[0].lower()}{text[1:]}{hint}"


def _not_our_fault(error: Exception) -> OptkitError | None:
    if isinstance(error, OSError) and error.errno is not None:
        from optkit.draft import disk_error

        told = disk_error(error, Path(os.fsdecode(error.filename) if error.filename else "output"))
        told.hint = told.hint or "check the path, and who may read and write there"
        return told
    # ONNX Runtime reports exhausted memory as an error of its own
    if isinstance(error, MemoryError) or any(words in str(error) for words in ("bad_alloc", "bad allocation", "Failed to allocate memory")):
        return OptkitError("there is not enough memory", hint="use fewer examples, a smaller batch, or a machine with more memory")
    return None


def _bug_report(error: Exception) -> str:
    from optkit.commands._bug_report import write_bug_report

    what = f"optkit has a bug: {type(error).__name__}: {error}"
    try:
        return f"{what}\nhint: please report it with this file: {write_bug_report(error)}"
    except OSError:
        return f"{what}\nhint: please report it; no report could be written, because the temporary folder is full or read-only"


def _end(text: str, code: int) -> NoReturn:
    # stdout may be what failed (a full disk, a closed pipe): it must not speak again at exit
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _discard_output()
    with suppress(OSError):
        click.echo(text, err=True)
    sys.exit(code)


def _discard_output() -> None:
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
