"""What the machine is that a measurement was made on."""

import platform
import subprocess
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from optkit.cores import usable_cores
from optkit.measure import Machine
from optkit.runtimes.cuda_driver import cuda_version, gpus
from optkit.versions import versions_for

FEATURES = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_int8", "amx_bf16", "amx_fp16")
"""Of x86, as Linux calls them."""
ARM_FEATURES = {"asimd": "neon", "asimddp": "neon_dotprod", "i8mm": "i8mm", "sve": "sve", "sve2": "sve2", "bf16": "bf16", "fphp": "fp16"}
"""Linux's name → ours."""
APPLE_FEATURES = {"FEAT_DotProd": "neon_dotprod", "FEAT_I8MM": "i8mm", "FEAT_BF16": "bf16", "FEAT_FP16": "fp16", "FEAT_SME": "sme"}
OTHERS = ("onnxruntime-gpu", "onnxruntime-ep-openvino", "torch")
"""Packages named when they are there."""


@cache
def detect() -> Machine:
    """The machine this process runs on."""
    return Machine(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        processor=_processor(),
        cores=_cores(),
        features=_features(),
        versions={"python": platform.python_version(), **versions_for(), **_others()},
        gpus=gpus(),
    )


def features_of(cpuinfo: str) -> tuple[str, ...]:
    """Instruction sets that decide the speed of INT8 and half precision, out of Linux's description of its processors."""
    flags: set[str] = set()
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            flags.update(value.split())
    return tuple([name for name in FEATURES if name in flags] + [ours for theirs, ours in ARM_FEATURES.items() if theirs in flags])


def processor_of(cpuinfo: str) -> str | None:
    """The processor's name, out of Linux's description."""
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "Hardware") and value.strip():
            return value.strip()
    return None


def _cpuinfo() -> str:
    with suppress(OSError):
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    return ""


def _processor() -> str:
    if platform.system() == "Darwin":
        return _sysctl("machdep.cpu.brand_string") or platform.machine()
    return processor_of(_cpuinfo()) or platform.processor() or platform.machine()


def _features() -> tuple[str, ...]:
    if platform.system() == "Darwin":
        arm = [ours for theirs, ours in APPLE_FEATURES.items() if _sysctl(f"hw.optional.arm.{theirs}") == "1"]
        return tuple(arm) or (("avx2",) if _sysctl("hw.optional.avx2_0") == "1" else ())
    return features_of(_cpuinfo())


def _cores() -> int:
    import psutil

    return min(psutil.cpu_count(logical=False) or usable_cores(), usable_cores())


def _sysctl(name: str) -> str:
    with suppress(OSError, subprocess.CalledProcessError):
        return subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, check=True).stdout.strip()
    return ""


def _others() -> dict[str, str]:
    found = {}
    for package in OTHERS:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    if driver := cuda_version():
        found["cuda"] = driver
    return found
