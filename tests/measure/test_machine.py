"""What the machine is."""

import platform

from optkit.measure import Machine, detect_machine
from optkit.measure._machine import features_of, processor_of
from optkit.records import read_record, write_record

X86 = """processor\t: 0
model name\t: Intel(R) Xeon(R) Platinum 8488C
flags\t\t: fpu sse avx avx2 avx512f avx512_vnni avx_vnni amx_bf16 amx_tile amx_int8

processor\t: 1
model name\t: Intel(R) Xeon(R) Platinum 8488C
flags\t\t: fpu sse avx avx2 avx512f avx512_vnni avx_vnni amx_bf16 amx_tile amx_int8
"""
ARM = """processor\t: 0
BogoMIPS\t: 243.75
Features\t: fp asimd evtstrm aes fphp asimdhp asimddp sve i8mm bf16
CPU implementer\t: 0x41
"""
OLD = "processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: fpu sse sse2 avx2x\n"


def test_features_of_linux_processors() -> None:
    assert features_of(X86) == ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "amx_int8", "amx_bf16")
    assert features_of(ARM) == ("neon", "neon_dotprod", "i8mm", "sve", "bf16", "fp16")
    assert features_of(OLD) == features_of("") == ()


def test_names_of_processors() -> None:
    assert processor_of(X86) == "Intel(R) Xeon(R) Platinum 8488C"
    assert processor_of(ARM) is None
    assert processor_of("Model\t\t: Raspberry Pi 5\n") == "Raspberry Pi 5"


def test_this_machine() -> None:
    machine = detect_machine()
    assert machine.cores >= 1
    assert machine.processor
    assert platform.machine() in machine.system
    assert machine.versions["python"] == platform.python_version()
    assert {"optkit", "onnxruntime", "numpy"} <= set(machine.versions)
    assert read_record(Machine, write_record(machine)) == machine
