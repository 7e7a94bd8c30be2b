import io
import sys

import pytest
from rich.console import Console
from rich.table import Table

from optkit.commands._screen import show_drawing


def draw(console: Console) -> None:
    table = Table.grid()
    table.add_row("left", "5 µs × 3 ███")
    table.add_row("longer than that", "")
    console.print(table)


def test_lines_end_where_their_text_ends(capsys: pytest.CaptureFixture[str]) -> None:
    show_drawing(draw)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("5 µs × 3 ███")
    assert lines[1] == "longer than that"


def test_a_terminal_without_blocks_gets_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    show_drawing(draw)
    out.seek(0)
    assert "5 us x 3 ###" in out.read()
