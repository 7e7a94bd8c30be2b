"""What is wrong with an installation. Pure: the same facts give the same troubles."""

import re
from collections.abc import Mapping, Sequence

from optkit.installation import Device, Trouble
from optkit.runtimes.unavailable import GPU_PACKAGE, how_to_get
from optkit.versions import RUNTIMES


def find_troubles(
    versions: Mapping[str, str],
    required: Sequence[str],
    devices: Sequence[Device],
    *,
    machine: str = "",
    processor: str = "",
    nvidia: bool = False,
) -> tuple[Trouble, ...]:
    """Troubles out of installed versions (package → version), optkit's requirements (`numpy>=1.26`), devices and the machine."""
    found = [*_overwritten(versions), *_too_old(versions, required), *_not_working(devices)]
    if nvidia and not any(device.word == "cuda" for device in devices if device.works):
        how = next((device.how for device in devices if device.word == "cuda" and device.how), how_to_get("cuda", installed=False))
        found.append(Trouble("there is an NVIDIA GPU, and ONNX Runtime cannot use it", str(how)))
    if processor.startswith("Apple") and machine == "x86_64":
        found.append(Trouble("this Python is built for Intel and runs under Rosetta, which is slow", "install an arm64 build of Python"))
    return tuple(found)


def _overwritten(versions: Mapping[str, str]) -> list[Trouble]:
    present = [name for name in RUNTIMES if name in versions]
    if len(present) < 2:
        return []
    listed = " and ".join(present)
    keep = next(name for name in present if name != "onnxruntime")
    return [
        Trouble(
            f"{listed} are installed together, and overwrite each other's files",
            f"pip uninstall -y {' '.join(present)}, then pip install {GPU_PACKAGE if keep == 'onnxruntime-gpu' else keep}",
        )
    ]


def _too_old(versions: Mapping[str, str], required: Sequence[str]) -> list[Trouble]:
    runtimes = [name for name in RUNTIMES if name in versions]
    found = []
    for text in required:
        parsed = re.match(r"([A-Za-z0-9._-]+)>=([0-9.]+)", text)
        if not parsed or "extra ==" in text:
            continue
        name, least = parsed.groups()
        package = runtimes[0] if name == "onnxruntime" and name not in versions and runtimes else name
        if package not in versions:
            found.append(Trouble(f"{name} is not installed, and optkit needs it", f"pip install '{name}>={least}'"))
        elif _numbers(versions[package]) < _numbers(least):
            found.append(
                Trouble(f"{package} {versions[package]} is too old: optkit needs {least} or newer", f"pip install -U '{package}>={least}'")
            )
    return found


def _not_working(devices: Sequence[Device]) -> list[Trouble]:
    return [
        Trouble(f"device {d.word!r} is installed and does not work: {d.fault}", d.how or f"use another --device than {d.word}")
        for d in devices
        if d.fault
    ]


def _numbers(version: str) -> tuple[int, ...]:
    """`1.23.0rc1` → (1, 23): what comes after a letter is newer or older by less than matters here."""
    plain = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    numbers = [int(part) for part in plain[0].split(".")] if plain else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
