"""Plug-in execution providers: packages named `onnxruntime-ep-WORD` that bring a library for ONNX Runtime to load."""

import pkgutil
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import onnxruntime as ort

from optkit.errors import NoHardware, UsageError

PREFIX = "onnxruntime_ep_"

MADE_FOR = {"openvino": "Intel"}
"""Word → whose hardware alone the plug-in takes (OpenVINO would take others': https://github.com/microsoft/onnxruntime/pull/31981)."""


@dataclass(frozen=True)
class PluginDevice:
    """A device that a plug-in provider found."""

    word: str
    provider: str
    """The provider's full name."""
    device: Any
    """ONNX Runtime's OrtEpDevice."""


@cache
def plugin_words() -> tuple[str, ...]:
    """The words of installed plug-in providers; imports none of them."""
    return tuple(sorted(m.name.removeprefix(PREFIX) for m in pkgutil.iter_modules() if m.name.startswith(PREFIX)))


def find_plugin_device(word: str, which: str, asked: str) -> PluginDevice:
    """A device of a plug-in provider: the first CPU, else the first one; `which` picks by index or by kind (cpu, gpu, npu)."""
    devices = _register(word)
    if not devices:
        none = f"none of {MADE_FOR[word]}'s hardware, which it is made for" if word in MADE_FOR else "no hardware here"
        raise NoHardware(f"device {asked!r} is installed, but finds {none}", hint="use another --device, such as cpu")
    kinds = [device.device.type.name.lower() for device in devices]
    if which.isdecimal() and int(which) < len(devices):
        chosen = devices[int(which)]
    elif which in kinds or not which:
        wanted = which or "cpu"
        chosen = devices[kinds.index(wanted) if wanted in kinds else 0]
    else:
        words = [word, *(f"{word}:{kind}" for kind in dict.fromkeys(kinds))]
        raise UsageError(f"no device is called {asked!r}", hint=f"available here: {', '.join(words)}")
    return PluginDevice(word, chosen.ep_name, chosen)


@cache
def _register(word: str) -> tuple[Any, ...]:
    """Load a plug-in's library into ONNX Runtime, which is possible once in a process, and list its devices."""
    module = import_module(PREFIX + word)
    names = module.get_ep_names()
    try:
        ort.register_execution_provider_library(names[0], module.get_library_path())
    except Exception as error:
        if "already registered" not in str(error):
            raise UsageError(
                f"device {word!r} does not load: {str(error).splitlines()[0]}",
                hint=f"reinstall it: pip install --force-reinstall onnxruntime-ep-{word.replace('_', '-')}",
            ) from error
    return tuple(device for device in ort.get_ep_devices() if device.ep_name in names)
