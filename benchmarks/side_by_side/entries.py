"""The models that are compared on: a folder each, with model.onnx, calibration.npz and evaluation.npz."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from optkit.datasets import Examples, read_examples
from optkit.errors import DataError
from optkit.runtimes import Session, full_feeds, open_session

MOST_FEEDS = 128
"""Calibration examples that every peer gets: the same ones, evenly spaced."""


@dataclass(frozen=True)
class Entry:
    """One model with its data, and the folder that its results are kept in."""

    folder: Path
    results: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def model(self) -> Path:
        return self.folder / "model.onnx"

    @property
    def calibration(self) -> Path:
        return self.folder / "calibration.npz"

    @property
    def evaluation(self) -> Path:
        return self.folder / "evaluation.npz"

    @property
    def feeds(self) -> Path:
        """What peers calibrate with: for each input an array of whole feeds."""
        return self.results / "feeds.npz"

    def session(self) -> Session:
        return open_session(self.model)

    def evaluated(self, session: Session) -> Examples:
        return read_examples(str(self.evaluation), session.inputs)


def entry_at(folder: Path, results: Path) -> Entry:
    """The entry in `folder`; what peers calibrate with is written beside their results. Raises DataError when a file is missing."""
    entry = Entry(folder.absolute(), (results / folder.absolute().name).absolute())
    for file in (entry.model, entry.calibration, entry.evaluation):
        if not file.exists():
            raise DataError("there is no such file", where=str(file), hint="a folder holds model.onnx, calibration.npz and evaluation.npz")
    entry.results.mkdir(parents=True, exist_ok=True)
    session = entry.session()
    examples = read_examples(str(entry.calibration), session.inputs).spread(MOST_FEEDS)
    feeds: list[Mapping[str, Any]] = list(full_feeds(session, examples))
    arrays: dict[str, Any] = {name: np.stack([feed[name] for feed in feeds]) for name in feeds[0]}
    np.savez(entry.feeds, **arrays)
    return entry


def digest_of_files(*files: Path, more: str = "") -> str:
    """sha256 over the bytes of files and a text."""
    total = hashlib.sha256(more.encode())
    for file in files:
        total.update(file.read_bytes())
    return total.hexdigest()
