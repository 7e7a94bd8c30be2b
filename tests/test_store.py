import os
from pathlib import Path

import pytest

from optkit.store import Store, default_place


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    (tmp_path / "made").mkdir()
    found = [tmp_path / "made" / "model.onnx", tmp_path / "made" / "model.onnx.data"]
    for file in found:
        file.write_bytes(file.name.encode())
    return found


@pytest.fixture
def into(tmp_path: Path) -> Path:
    (tmp_path / "into").mkdir()
    return tmp_path / "into"


def test_what_was_kept_is_taken_back(tmp_path: Path, files: list[Path], into: Path) -> None:
    store = Store(tmp_path / "deep" / "cache")
    assert store.facts("key") is None
    assert store.take("key", into) is None
    store.keep("key", files, "the facts")
    assert store.facts("key") == "the facts"
    assert store.take("key", into) == "the facts"
    assert {file.name: file.read_bytes() for file in into.iterdir()} == {file.name: file.read_bytes() for file in files}


def test_the_first_of_two_that_keep_the_same_step_wins(tmp_path: Path, files: list[Path], into: Path) -> None:
    store = Store(tmp_path / "cache")
    store.keep("key", files, "first")
    store.keep("key", files, "second")
    assert store.take("key", into) == "first"
    assert sorted(entry.name for entry in store.place.iterdir()) == ["README.txt", "key"]


def test_the_least_recently_used_go_first(tmp_path: Path, files: list[Path], into: Path) -> None:
    one = sum(file.stat().st_size for file in files) + len("facts")
    store = Store(tmp_path / "cache", limit=2 * one)
    for age, key in ((300, "a"), (200, "b")):
        store.keep(key, files, "facts")
        then = (store.place / key / "facts.json").stat().st_mtime - age
        os.utime(store.place / key / "facts.json", (then, then))
    store.take("a", into)
    store.keep("c", files, "facts")
    assert {entry.key for entry in store.entries()} == {"a", "c"}
    assert sum(entry.size for entry in store.entries()) == 2 * one


def test_what_is_larger_than_the_limit_is_not_kept(tmp_path: Path, files: list[Path]) -> None:
    store = Store(tmp_path / "cache", limit=3)
    store.keep("key", files, "facts")
    assert store.entries() == ()


def test_clearing_frees_what_it_says_and_touches_nothing_else(tmp_path: Path, files: list[Path]) -> None:
    store = Store(tmp_path / "cache")
    assert store.clear() == 0
    store.keep("key", files, "facts")
    mine = store.place / "mine"
    mine.mkdir()
    (mine / "photo.jpg").write_bytes(b"not a model")
    (store.place / "new-left").mkdir()
    freed = sum(entry.size for entry in store.entries())
    assert store.clear() == freed > 0
    assert sorted(entry.name for entry in store.place.iterdir()) == ["README.txt", "mine"]


def test_a_place_that_cannot_be_written_is_no_error(tmp_path: Path, files: list[Path], into: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = Store(tmp_path / "file" / "cache")
    store.keep("key", files, "facts")
    assert store.take("key", into) is None
    assert store.entries() == ()


def test_the_place_may_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPTKIT_CACHE", str(tmp_path / "elsewhere"))
    assert default_place() == tmp_path / "elsewhere"
    monkeypatch.delenv("OPTKIT_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_place() == tmp_path / "optkit"


def test_what_interrupted_steps_left_is_counted_and_cleared(tmp_path: Path) -> None:
    store = Store(tmp_path)
    place = store.unfinished("key")
    assert not place.exists()
    place.mkdir(parents=True)
    (place / "training.pt").write_bytes(b"12345")
    assert store.entries() == ()
    assert store.clear() == 5
    assert not place.exists()
