import pytest

from optkit.installation.int8 import int8_features


def told(machine: str, *present: str) -> dict[str, tuple[bool, str]]:
    return {feature.name: (feature.present, feature.means) for feature in int8_features(machine, present)}


def test_without_vnni_sums_can_saturate() -> None:
    assert "can saturate" in told("x86_64", "avx2")["avx512_vnni"][1]


@pytest.mark.parametrize("vnni", ["avx_vnni", "avx512_vnni"])
def test_either_vnni_is_enough(vnni: str) -> None:
    found = told("AMD64", "avx2", vnni)
    assert found[vnni] == (True, "adds 8-bit products in 32 bits: INT8 is fast, and sums are exact")
    assert not any("saturate" in means for _, means in found.values())


def test_two_products_really_do_not_fit_into_sixteen_bits() -> None:
    """What the advice rests on: the largest pair of U8×S8 products, against the largest number of 16 bits."""
    assert 2 * 255 * 127 > 2**15 - 1 >= 255 * 127


def test_arm_and_others() -> None:
    assert [name for name, (present, _) in told("aarch64", "neon", "neon_dotprod").items() if present] == ["neon_dotprod"]
    assert "gains little" in told("arm64")["neon_dotprod"][1]
    assert told("riscv64", "avx2") == {}


def test_amx_is_named_where_it_is() -> None:
    assert told("x86_64", "avx2", "avx512_vnni", "amx_int8")["amx_int8"] == (True, "multiplies tiles of 8-bit numbers: the largest gain")
