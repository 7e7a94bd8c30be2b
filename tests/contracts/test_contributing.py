"""The walkthrough of CONTRIBUTING.md, done as it says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

# the folder of the walkthrough's pass joins the package, as if its file had been put there
WALK = """
import sys
import optkit.passes
optkit.passes.__path__.append(sys.argv[1] + "/optkit/passes")
import pytest
from optkit.registry import load, members
assert "drop_doc_strings" in members("passes")
made = load("passes", "drop_doc_strings")
assert made.__doc__ and all(field.description for field in made.model_fields.values())
sys.exit(pytest.main(["-q", "-c", "/dev/null", "--import-mode=importlib", "-p", "no:cacheprovider", sys.argv[1] + "/tests"]))
"""


def files_in(text: str) -> dict[str, str]:
    return dict(re.findall(r"^`([\w/]+\.py)`:\n\n```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


@pytest.mark.slow
def test_adding_a_pass_works_as_described(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    files = files_in((pytestconfig.rootpath / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert set(files) == {"optkit/passes/drop_doc_strings.py", "tests/passes/test_drop_doc_strings.py"}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    walked = subprocess.run([sys.executable, "-c", WALK, str(tmp_path)], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert walked.returncode == 0, walked.stdout + walked.stderr
    assert "1 passed" in walked.stdout


def test_the_map_names_every_room(pytestconfig: pytest.Config) -> None:
    text = (pytestconfig.rootpath / "CONTRIBUTING.md").read_text(encoding="utf-8")
    package = pytestconfig.rootpath / "optkit"
    rooms = {f"{p.name}/" for p in package.iterdir() if (p / "__init__.py").exists()} | {p.stem for p in package.glob("[!_]*.py")}
    missing = {room for room in rooms if f"`{room}`" not in text and f"`{room.rstrip('/')}`" not in text}
    assert missing == set()
