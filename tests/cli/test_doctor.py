from dataclasses import replace

import onnxruntime
import pytest
from click.testing import CliRunner

from optkit.cli import main
from optkit.errors import NoHardware, UsageError
from optkit.installation import Installation, Trouble
from optkit.installation.look import look_around
from optkit.needs import EXTRAS
from optkit.records import read_record


@pytest.mark.slow
def test_the_cpu_works_and_everything_optional_is_listed() -> None:
    found = look_around()
    assert (found.devices[0].word, found.devices[0].works) == ("cpu", True)
    assert [extra.name for extra in found.extras] == list(EXTRAS)
    assert found.machine.versions["onnxruntime"] == onnxruntime.__version__


def test_a_device_that_fails_is_reported_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(model: object, device: str) -> None:
        raise UsageError("no such library", hint="install it")

    monkeypatch.setattr("optkit.installation.look.open_onnx", broken)
    found = look_around()
    assert (found.devices[0].works, found.devices[0].fault, found.devices[0].how) == (False, "no such library", "install it")
    assert Trouble("device 'cpu' is installed and does not work: no such library", "install it") in found.troubles


def test_a_device_without_its_hardware_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(model: object, device: str) -> None:
        raise NoHardware("there is none", hint="use another device")

    monkeypatch.setattr("optkit.installation.look.open_onnx", nowhere)
    found = look_around()
    assert (found.devices[0].works, found.devices[0].fault, found.devices[0].how) == (False, None, "there is none")
    assert not [trouble for trouble in found.troubles if "'cpu'" in trouble.what]


@pytest.mark.parametrize("troubles", [(), (Trouble("it is broken", "mend it"),)])
def test_text_json_and_exit_code(troubles: tuple[Trouble, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    found = replace(look_around(), troubles=troubles)
    monkeypatch.setattr("optkit.installation.look.look_around", lambda: found)
    text, record = (CliRunner().invoke(main, ["doctor", *more]) for more in ((), ("--json",)))
    assert read_record(Installation, record.output) == found
    assert text.exit_code == record.exit_code == (2 if troubles else 0)
    assert ("- it is broken\n  hint: mend it" if troubles else "no problems found") in text.output
    assert max(map(len, text.output.splitlines())) <= 80
