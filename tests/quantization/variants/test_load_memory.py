"""A word about memory where stored weights need more of it than float ones."""

from pathlib import Path

import pytest

from optkit.quantization.variants import load_memory
from optkit.quantization.variants.build import build
from optkit.quantization.variants.learned import Learned
from optkit.quantization.variants.load_memory import LEAST, loading_remark
from optkit.quantization.variants.treatment import Treatment

from ..tiny import draw, read, saved


@pytest.mark.slow
def test_the_peak_of_a_process_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    model = read("(float[N,1024] x) => (float[N,1024] y) { y = MatMul(x, w) }", w=draw(1024, 1024))
    path.write_bytes(saved(model))
    stored = tmp_path / "s.onnx"
    stored.write_bytes(saved(build(model, Treatment("stored"), Learned())))
    for file in (path, stored):
        found = load_memory._peak(file, "cpu", 1)
        assert found is not None
        assert 2 << 20 < found < 100 << 20
    assert load_memory._peak(tmp_path / "missing.onnx", "cpu", 1) is None


@pytest.mark.parametrize(("after", "told"), [(150, True), (105, False), (90, False), (None, False)])
def test_it_is_told_where_it_is_more(monkeypatch: pytest.MonkeyPatch, after: int | None, told: bool) -> None:
    peaks = {Path("a"): 100_000_000, Path("b"): after and after * 1_000_000}
    monkeypatch.setattr(load_memory, "_peak", lambda path, device, threads: peaks[path])
    said = loading_remark(Path("a"), Path("b"), LEAST, "cpu", 1)
    assert (said is not None) == told
    if said:
        assert said.startswith("loading it takes 150 MB of memory for a moment, the original 100 MB")
    assert loading_remark(Path("a"), Path("b"), LEAST - 1, "cpu", 1) is None
