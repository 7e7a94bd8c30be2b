import json
from pathlib import Path

import pytest

from optkit.errors import UsageError
from optkit.report import SCHEMA, Report, load_report, save_report

REPORT = Report(SCHEMA, "a → b", "2026-01-02T03:04:05+00:00", (), ())


def test_a_report_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    save_report(REPORT, tmp_path / "report.json")
    assert load_report(tmp_path / "report.json") == REPORT


def changed(**values: object) -> str:
    return json.dumps({"schema": SCHEMA, "title": "", "created": "", "measurements": [], "comparisons": [], **values})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (changed(schema=99), "this report has schema 99, and this optkit reads schema 1\nhint: it was written by a newer optkit: update"),
        (changed(schema=0), "schema 0, and this optkit reads schema 1\nhint: measure again"),
        (changed(comparisons=[{"before": 1}]), "the report is damaged at comparisons.0"),
        ("{", "this is no report of optkit"),
        ("[]", "this is no report of optkit"),
        ('{"schema": "1"}', "this is no report of optkit"),
        ("\x00\xff", "this is no report of optkit"),
    ],
)
def test_other_files_are_refused_with_what_to_do(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError) as caught:
        load_report(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert complaint in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        load_report(tmp_path / "none.json")
