"""Starting is light, and nothing but a pass that needs it asks for an optional library."""

import json
import subprocess
import sys

from optkit.needs import EXTRAS
from optkit.registry import members

HEAVY = (
    "numpy",
    "pydantic",
    "rich",
    "onnx",
    "onnx_ir",
    "onnxruntime",
    "onnxscript",
    "torch",
    "scipy",
    "jinja2",
    "sklearn",
    "ruamel",
    "psutil",
)

HELPS = """
import io, json, sys
from contextlib import redirect_stdout
from optkit.cli import main
loaded = {}
for name in json.loads(sys.argv[1]):
    with redirect_stdout(io.StringIO()):
        try: main([name, "--help"] if name else ["--help"])
        except SystemExit: pass
    loaded[name] = sorted(module.partition(".")[0] for module in sys.modules)
print(json.dumps(loaded))
"""

BLOCKED = """
import importlib, json, pkgutil, sys
blocked = set(json.loads(sys.argv[1]))
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked: raise ModuleNotFoundError(f"blocked: {name}", name=name)
sys.meta_path.insert(0, Absent())
import optkit
for module in pkgutil.walk_packages(optkit.__path__, "optkit."):
    if module.name != "optkit.__main__": importlib.import_module(module.name)
print("all imported")
"""


def python(code: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_help_loads_nothing_heavy() -> None:
    names = ["", *members("commands")]
    loaded = json.loads(python(HELPS, json.dumps(names)))
    assert set(loaded) == set(names)
    assert {name: heavy for name in names if (heavy := sorted(set(HEAVY) & set(loaded[name])))} == {}


def test_help_loads_only_click_besides_the_standard_library() -> None:
    plain = set(json.loads(python("import json, sys; print(json.dumps([m.partition('.')[0] for m in sys.modules]))")))
    loaded = set(json.loads(python(HELPS, json.dumps([""])))[""])
    assert loaded - plain - set(sys.stdlib_module_names) <= {"optkit", "click", "colorama"}


def test_help_loads_few_modules() -> None:
    """An upper bound on start-up that does not depend on how busy the machine is: 40 commands of our own would fit."""
    counted = "import sys; before = set(sys.modules)\n" + HELPS.replace(
        "print(json.dumps(loaded))", "print(len(set(sys.modules) - before))"
    )
    assert int(python(counted, json.dumps([""]))) < 200


def test_importing_optkit_loads_none_of_its_api() -> None:
    assert "optkit.api" not in python("import sys, optkit; print(*sys.modules)").split()


def test_every_module_imports_without_optional_libraries() -> None:
    optional = sorted({*EXTRAS.values(), "torchvision", "transformers"})
    assert python(BLOCKED, json.dumps(optional)).strip() == "all imported"
