"""The examples that models are compared on."""

from optkit.evidence import data_wanted
from optkit.runtimes import Port


def test_the_data_wanted_can_be_copied_from_the_hint() -> None:
    ports = [Port("input.ids", "int64", ("batch", "length")), Port("x", "float32", (None, 3, None))]
    wanted = data_wanted(ports)
    assert "input.ids: int64 [N, length]; x: float32 [N, 3, ?]" in wanted
    assert "np.savez('data.npz', **{'input.ids': …}, x=…, labels=…)" in wanted
