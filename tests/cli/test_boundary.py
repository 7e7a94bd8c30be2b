"""Whatever goes wrong ends in two lines on stderr and the exit code that says whose it is to mend."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from optkit.cli import main
from optkit.commands._boundary import guarded
from optkit.errors import DataError, NothingPaid, OptkitError

Capture = pytest.CaptureFixture[str]


def raising(error: BaseException) -> Callable[[], object]:
    def work() -> object:
        raise error

    return work


def ending(work: Callable[[], object]) -> object:
    with pytest.raises(SystemExit) as end:
        guarded(work)
    return end.value.code


def python(code: str, **options: object) -> "subprocess.Popen[str]":
    code = "from optkit.commands._boundary import guarded\n" + code
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen([sys.executable, "-c", code], **pipes)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize(("result", "code"), [(None, 0), (0, 0), (1, 1), ("a value", 0)])
def test_exits_with_the_number_that_the_work_returns(result: object, code: int) -> None:
    assert ending(lambda: result) == code


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (DataError("labels are missing", where="d.npz", hint="add labels"), 2, "d.npz: labels are missing\nhint: add labels\n"),
        (NothingPaid("no variant is faster"), 1, "no variant is faster\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (click.ClickException("as click says it"), 2, "as click says it\n"),
        (MemoryError(), 2, "there is not enough memory\nhint: use fewer examples, a smaller batch, or a machine with more memory\n"),
    ],
)
def test_a_problem_is_told_and_numbered(error: BaseException, code: int, said: str, capsys: Capture) -> None:
    assert ending(raising(error)) == code
    assert capsys.readouterr() == ("", said)


def test_onnx_runtime_out_of_memory_is_not_a_bug(capsys: Capture) -> None:
    assert ending(raising(RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : std::bad_alloc"))) == 2
    assert capsys.readouterr().err.startswith("there is not enough memory\nhint: ")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EFBIG, errno.EIO, errno.ENOENT])
def test_what_the_system_refuses_is_told_with_the_place_and_a_hint(number: int, capsys: Capture) -> None:
    assert ending(raising(OSError(number, os.strerror(number), "out/model.onnx"))) == 2
    what, hint = capsys.readouterr().err.splitlines()
    assert what.startswith("out/model.onnx: ")
    assert hint.startswith("hint: ")


def test_a_bug_leaves_a_report(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["optkit", "quantize", "a model.onnx"])
    assert ending(raising(ZeroDivisionError("division by zero"))) == 3
    (report,) = tmp_path.glob("optkit-bug-*.txt")
    what, hint = capsys.readouterr().err.splitlines()
    assert what == "optkit has a bug: ZeroDivisionError: division by zero"
    assert hint.endswith(str(report))
    text = report.read_text()
    assert "command: optkit quantize 'a model.onnx'\n" in text
    assert "onnxruntime: " in text
    assert "raise error\nZeroDivisionError: division by zero\n" in text


def test_a_bug_is_told_even_when_no_report_can_be_written(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    assert ending(raising(TypeError("odd"))) == 3
    assert capsys.readouterr().err.startswith("optkit has a bug: TypeError: odd\nhint: ")


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    child = python("guarded(lambda: [print(i) for i in range(10**6)])")
    assert child.stdout
    assert child.stderr
    child.stdout.readline()
    child.stdout.close()
    assert (child.stderr.read(), child.wait()) == ("", 141)
    child.stderr.close()


def test_a_terminal_without_our_letters_gets_others() -> None:
    child = python("guarded(lambda: print('1 × 2 → ▒'))", env={**os.environ, "PYTHONIOENCODING": "latin-1"}, encoding="latin-1")
    assert (*child.communicate(), child.returncode) == ("1 × 2 ? ?\n", "", 0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_to_a_full_disk_is_told() -> None:
    with open("/dev/full", "w") as full:
        child = python("guarded(lambda: print('a result'))", stdout=full)
        _, told = child.communicate()
    assert child.returncode == 2
    assert told.startswith("output: the disk is full")
    assert told.count("\n") == 2


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
@pytest.mark.parametrize(("number", "code", "told"), [(signal.SIGINT, 130, "interrupted\n"), (signal.SIGTERM, 143, "")])
def test_being_stopped_leaves_nothing_half_made(number: int, code: int, told: str, tmp_path: Path) -> None:
    child = python(
        f"""
import pathlib, time
from optkit.draft import draft_folder
def work():
    with draft_folder(pathlib.Path({str(tmp_path)!r})) as folder:
        (folder / "half.onnx").write_bytes(b"half")
        print("writing", flush=True)
        time.sleep(60)
guarded(work)
"""
    )
    assert child.stdout
    assert child.stdout.readline() == "writing\n"
    assert list(tmp_path.iterdir())
    child.send_signal(number)
    _, error = child.communicate(timeout=30)
    assert (child.returncode, error) == (code, told)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
@pytest.mark.parametrize(("number", "code", "told"), [(signal.SIGINT, 130, "interrupted\n"), (signal.SIGTERM, 143, "")])
def test_being_stopped_while_something_is_finalized_stops_too(number: int, code: int, told: str) -> None:
    child = python(
        f"""
import signal, time
class Dying:
    def __del__(self):
        signal.raise_signal({int(number)})
def work():
    Dying()
    time.sleep(60)
guarded(work)
"""
    )
    _, error = child.communicate(timeout=30)
    assert (child.returncode, error) == (code, told)


def test_other_errors_in_a_finalizer_are_told_as_python_does() -> None:
    child = python(
        """
class Dying:
    def __del__(self):
        raise ValueError("odd")
guarded(lambda: [Dying()] and None)
"""
    )
    _, error = child.communicate(timeout=30)
    assert child.returncode == 0
    assert "ValueError: odd" in error


def test_what_was_there_for_signals_is_given_back_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM), sys.unraisablehook
    ending(lambda: None)
    assert (signal.getsignal(signal.SIGTERM), sys.unraisablehook) == before


@pytest.mark.parametrize(
    ("line", "first"),
    [
        ([], "Usage: optkit [OPTIONS] COMMAND [ARGS]..."),
        (["--no-such"], "optkit: no such option '--no-such'"),
    ],
)
def test_a_wrong_line_is_told_with_a_hint(line: list[str], first: str) -> None:
    ended = CliRunner().invoke(main, line)
    assert ended.exit_code == 2
    assert ended.stdout == ""
    assert ended.stderr.splitlines()[0].rstrip(":") == first


def test_an_unknown_command_is_answered_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optkit.cli.members", lambda family: ("compare", "quantize"))
    ended = CliRunner().invoke(main, ["quantise", "model.onnx"])
    assert ended.exit_code == 2
    assert ended.stderr == "optkit: there is no command 'quantise'\nhint: did you mean 'quantize'? known: compare, quantize\n"


def test_version() -> None:
    from optkit import __version__

    assert CliRunner().invoke(main, ["--version"]).stdout == f"optkit {__version__}\n"
    module = subprocess.run([sys.executable, "-m", "optkit", "--version"], capture_output=True, text=True, check=True)
    assert module.stdout == f"optkit {__version__}\n"


def test_an_error_in_a_command_reaches_the_boundary(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def command() -> None:
        raise OptkitError("it does not fit", where="x")

    monkeypatch.setattr("optkit.cli.members", lambda family: ("fit",))
    monkeypatch.setattr("optkit.cli.Subcommands.get_command", lambda self, ctx, name: command)
    ended = CliRunner().invoke(main, ["fit"])
    assert (ended.exit_code, ended.stderr) == (2, "x: it does not fit\n")


def test_an_interrupt_inside_exec_ends_with_130_too() -> None:
    """`python -m` would otherwise die of SIGINT at exit: CPython remembers an interrupt that went through exec() of a text."""
    lines = "from optkit.commands._boundary import guarded\nguarded(lambda: exec('raise KeyboardInterrupt'))\n"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "interrupted.py").write_text(lines)
        found = subprocess.run([sys.executable, "-m", "interrupted"], cwd=folder, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (130, "interrupted\n")
