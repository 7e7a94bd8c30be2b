"""What tests share: expected texts that are kept in tests/golden."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

import optkit

assert optkit  # imported before anything imports onnxruntime: it turns telemetry off, for tests too
settings.register_profile("optkit", deadline=None)  # a busy machine is no defect
settings.load_profile("optkit")
GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the expected texts of tests/golden anew")


@pytest.fixture(autouse=True, scope="session")
def _cache_of_our_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What runs keep for later goes to a folder of the tests, never to the user's."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OPTKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden(name, text)` holds a text against tests/golden/NAME, or writes it there with --update-golden."""

    def check(name: str, text: str) -> None:
        file = GOLDEN / name
        if request.config.getoption("--update-golden"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        assert file.exists(), f"there is no {file.relative_to(GOLDEN.parent)} yet: make golden"
        assert text == file.read_text(encoding="utf-8"), f"{name} has changed; if that is meant: make golden"

    return check
