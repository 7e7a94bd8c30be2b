"""What tests share: a cache of their own, modules of a user, and expected texts that are kept in tests/golden."""

import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

import optkit

if TYPE_CHECKING:
    from optkit.passes import Pass

assert optkit  # imported before anything imports onnxruntime: it turns telemetry off, for tests too
settings.register_profile("optkit", deadline=None)  # a busy machine is no defect
settings.load_profile("optkit")
GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the expected texts of tests/golden anew")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("openvino"):
        from optkit.errors import OptkitError
        from optkit.runtimes._providers import find_provider

        try:
            find_provider("openvino")
        except OptkitError as error:
            pytest.skip(error.what)


@pytest.fixture(autouse=True, scope="session")
def _programs_can_be_interrupted() -> None:
    """A shell that starts the tests in the background has them, and every program that they start, ignore Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _cache_of_our_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What runs keep for later goes to a folder of the tests, never to the user's."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OPTKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def no_cold_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proofs go without what needs fresh processes: that takes seconds, and is tested where it is measured."""
    from optkit.measure import measure

    def quicker(models: Any, examples: Any, settings: Any, progress: Any) -> Any:
        return measure(models, examples, replace(settings, meters=("latency", "throughput", "size")), progress)

    monkeypatch.setattr("optkit.prove.measure", quicker)


@pytest.fixture
def users_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """`users_module(name, code)` makes tmp_path the current folder, with a module of the user's in it; returns the folder."""

    def write(name: str, code: str) -> Path:
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, name, raising=False)
        return tmp_path

    return write


@pytest.fixture
def add_passes(monkeypatch: pytest.MonkeyPatch) -> "Callable[[Mapping[str, type[Pass]]], None]":
    """`add_passes({"melt": Melt})` makes passes known by their words, as a plug-in's entry points would."""

    def add(kinds: "Mapping[str, type[Pass]]") -> None:
        entries = {word: SimpleNamespace(load=lambda kind=kind: kind) for word, kind in kinds.items()}
        monkeypatch.setattr("optkit.registry._entries", lambda family: entries if family == "passes" else {})

    return add


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
