"""Which version of a library a result rests on."""

from importlib.metadata import PackageNotFoundError

import onnxruntime
import pytest

from optkit import versions


@pytest.mark.parametrize(
    ("installed", "told"),
    [
        ({"onnxruntime": "1.30.0"}, "1.30.0"),
        ({"onnxruntime-gpu": "1.31.1"}, "1.31.1"),
        ({"onnxruntime": "1.0.0", "onnxruntime-gpu": "2.0.0"}, onnxruntime.__version__),
        ({}, None),
    ],
    ids=["the plain one", "another in its place", "one over the other", "none"],
)
def test_the_runtime_is_the_one_that_runs(installed: dict[str, str], told: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name not in installed:
            raise PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(versions, "version", version)
    versions._version.cache_clear()
    try:
        assert versions.versions_for().get("onnxruntime") == told
    finally:
        versions._version.cache_clear()
