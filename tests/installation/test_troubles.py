import pytest

from optkit.installation import Device, Trouble
from optkit.installation.troubles import find_troubles

CPU = Device("cpu", True, True, None, None)
REQUIRED = ["click>=8.1.7", "onnxruntime>=1.23", 'torch>=2.6; extra == "torch"']
FINE = {"click": "8.2.0", "onnxruntime": "1.23.0"}


def test_nothing_is_wrong() -> None:
    assert find_troubles(FINE, REQUIRED, [CPU]) == ()


def test_two_packages_with_the_same_files() -> None:
    (found,) = find_troubles({**FINE, "onnxruntime-gpu": "1.23.0"}, REQUIRED, [CPU])
    assert found.what == "onnxruntime and onnxruntime-gpu are installed together, and overwrite each other's files"
    assert found.hint == "pip uninstall -y onnxruntime onnxruntime-gpu, then pip install 'onnxruntime-gpu[cuda,cudnn]'"


@pytest.mark.parametrize(("version", "old"), [("1.22.9", True), ("1.9", True), ("1.23", False), ("1.23.0rc1", False), ("2.0", False)])
def test_versions_are_compared_as_numbers(version: str, old: bool) -> None:
    found = find_troubles({**FINE, "onnxruntime": version}, REQUIRED, [CPU])
    expected = Trouble(f"onnxruntime {version} is too old: optkit needs 1.23 or newer", "pip install -U 'onnxruntime>=1.23'")
    assert found == ((expected,) if old else ())


def test_the_gpu_package_stands_in_for_the_other() -> None:
    assert find_troubles({"click": "9", "onnxruntime-gpu": "1.24"}, REQUIRED, [CPU]) == ()
    (found,) = find_troubles({"click": "9", "onnxruntime-gpu": "1.20"}, REQUIRED, [CPU])
    assert found.hint == "pip install -U 'onnxruntime-gpu>=1.23'"


def test_what_is_missing() -> None:
    (found,) = find_troubles({"onnxruntime": "1.23"}, REQUIRED, [CPU])
    assert found == Trouble("click is not installed, and optkit needs it", "pip install 'click>=8.1.7'")


def test_a_device_that_is_there_and_does_not_work() -> None:
    broken = Device("cuda", True, False, "libcudnn.so.9 is missing", "check the driver")
    assert find_troubles(FINE, REQUIRED, [CPU, broken]) == (
        Trouble("device 'cuda' is installed and does not work: libcudnn.so.9 is missing", "check the driver"),
    )
    assert find_troubles(FINE, REQUIRED, [CPU, Device("cuda", False, False, None, "pip install …")]) == ()


def test_a_gpu_that_nothing_uses() -> None:
    absent = Device("cuda", False, False, None, "pip install x")
    assert find_troubles(FINE, REQUIRED, [CPU, absent], nvidia=True) == (
        Trouble("there is an NVIDIA GPU, and ONNX Runtime cannot use it", "pip install x"),
    )
    assert find_troubles(FINE, REQUIRED, [CPU, Device("cuda", True, True, None, None)], nvidia=True) == ()


def test_an_intel_python_on_an_apple_processor() -> None:
    (found,) = find_troubles(FINE, REQUIRED, [CPU], machine="x86_64", processor="Apple M2")
    assert "Rosetta" in found.what
