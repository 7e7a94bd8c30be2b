"""What a processor's instruction sets mean for INT8 models in ONNX Runtime."""

from collections.abc import Collection

from optkit.installation import Feature

X86 = ("x86_64", "amd64", "i686", "i386")
ARM = ("aarch64", "arm64")


def int8_features(machine: str, present: Collection[str]) -> tuple[Feature, ...]:
    """The features that matter on a kind of machine (`x86_64`, `arm64`, …), given those that are present."""
    kind = machine.lower()
    if kind in X86:
        return _x86(present)
    if kind in ARM:
        return _arm(present)
    return ()


def _x86(present: Collection[str]) -> tuple[Feature, ...]:
    vnni = {"avx_vnni", "avx512_vnni"} & set(present)
    # two products of 255 × 127 are 64,770, and 16 bits hold 32,767
    saturates = "U8×S8 products are added in pairs in 16 bits, which can saturate: compare INT8 models here too"
    exact = "adds 8-bit products in 32 bits: INT8 is fast, and sums are exact"
    return (
        _feature("avx2", present, "256-bit kernels: the least that INT8 wants", "ONNX Runtime's INT8 kernels fall back to slow ones"),
        _feature("avx512_vnni", present, exact, "not needed: avx_vnni does the same" if vnni else saturates),
        _feature("avx_vnni", present, exact, "not needed: avx512_vnni does the same" if vnni else "see avx512_vnni"),
        _feature(
            "amx_int8",
            present,
            "multiplies tiles of 8-bit numbers: the largest gain",
            "not needed; matrix products gain most where it is there",
        ),
    )


def _arm(present: Collection[str]) -> tuple[Feature, ...]:
    return (
        _feature(
            "neon_dotprod", present, "adds 8-bit products in 32 bits: INT8 is fast", "8-bit numbers are widened first: INT8 gains little"
        ),
        _feature("i8mm", present, "multiplies 8-bit matrices: the largest gain", "not needed; matrix products gain most where it is there"),
    )


def _feature(name: str, present: Collection[str], there: str, absent: str) -> Feature:
    return Feature(name, name in present, there if name in present else absent)
