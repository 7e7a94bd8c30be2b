"""What it takes to run a whole recipe in a test."""

from typing import Any

import pytest

from optkit.measure import Measurement, measure


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what needs fresh processes: that is tested where it is measured."""

    def without_cold_starts(*models: Any, **asked: Any) -> tuple[Measurement, ...]:
        return measure(*models, **asked, meters=("latency", "size"))

    monkeypatch.setattr("optkit.prove.measure", without_cold_starts)
