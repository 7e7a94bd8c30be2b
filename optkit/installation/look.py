"""Look at this machine and this environment."""

import platform
import re
import shutil
from importlib import metadata
from pathlib import Path

import numpy as np
import onnx

from optkit.errors import NoHardware, OptkitError
from optkit.installation import Device, Extra, Installation
from optkit.installation.int8 import int8_features
from optkit.installation.troubles import find_troubles
from optkit.measure import detect_machine
from optkit.needs import EXTRAS, has
from optkit.runtimes import available_devices
from optkit.runtimes.onnxruntime import open_onnx
from optkit.runtimes.unavailable import how_to_get
from optkit.versions import RUNTIMES

GIVES = {
    "torch": "PyTorch passes",
    "llm": "quantize_weights_torch",
    "openvino": "--device openvino, on hardware of Intel",
    "loadgen": "optkit bench --loadgen",
    "images": "folders of images as data",
    "text": "text with a tokenizer file as data",
}
"""Extra → what it adds."""

COMES_ALONG = ("tensorrt",)
"""Devices that a package for another one offers too, whether what they need is there or not."""
OFFERED = {"Linux": ("cuda", "openvino"), "Windows": ("cuda", "openvino", "dml"), "Darwin": ()}
"""System → devices that a package would add."""


def look_around() -> Installation:
    """The whole of `optkit doctor`: machine, devices (a small model runs on each), extras and troubles."""
    machine = detect_machine()
    devices = _devices()
    required = _requirements()
    versions = {name: version for name in (*map(_package, required), *RUNTIMES) if (version := _version(name))}
    troubles = find_troubles(
        versions,
        required,
        devices,
        machine=platform.machine(),
        processor=machine.processor,
        nvidia=shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia/version").exists(),
    )
    extras = tuple(Extra(name, GIVES[name], has(name), f"pip install 'optkit[{name}]'") for name in EXTRAS)
    return Installation(machine, int8_features(platform.machine(), machine.features), devices, extras, troubles)


def _devices() -> tuple[Device, ...]:
    here = [_try(word) for word in available_devices()]
    absent = [word for word in OFFERED.get(platform.system(), ()) if word not in {device.word for device in here}]
    return (*here, *(Device(word, False, False, None, how_to_get(word, installed=False)) for word in absent))


def _try(word: str) -> Device:
    """Run a matrix product on a device."""
    try:
        open_onnx(_small_model(), word).run({"x": np.ones((1, 4), np.float32)})
    except NoHardware as error:  # on a machine as it is, nothing can be mended
        return Device(word, True, False, None, error.what)
    except OptkitError as error:
        if word in COMES_ALONG:
            return Device(word, False, False, None, how_to_get(word, installed=False))
        return Device(word, True, False, error.what.removeprefix(f"device {word!r} is not working: "), error.hint)
    return Device(word, True, True, None, None)


def _small_model() -> bytes:
    text = '<ir_version: 8, opset_import: ["": 17]> small (float[1, 4] x) => (float[1, 4] y) { y = MatMul (x, w) }'
    model = onnx.parser.parse_model(text)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.eye(4, dtype=np.float32), "w"))
    return bytes(model.SerializeToString())


def _requirements() -> tuple[str, ...]:
    """What optkit's own metadata asks for, such as `numpy>=1.26`; nothing where it runs without being installed."""
    try:
        return tuple(metadata.requires("optkit") or ())
    except metadata.PackageNotFoundError:
        return ()


def _package(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
