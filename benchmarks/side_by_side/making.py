"""Every peer's and our own file for one model: made in a process of its own, or taken from an earlier run."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from side_by_side.entries import Entry, digest_of_files
from side_by_side.processes import Cost, measured

from optkit.errors import UsageError

HERE = Path(__file__).parent
RUNNER = HERE / "run_peer.py"
TOOLS = HERE.parent / "peers"
LIMIT = 900.0
"""Seconds that a tool may take for one model."""


@dataclass(frozen=True)
class Peer:
    """One setting of one tool, and the interpreter of its environment."""

    tool: str
    setting: str
    python: Path

    @property
    def name(self) -> str:
        return f"{self.tool}: {self.setting}"


@dataclass(frozen=True)
class Made:
    """A file, or the reason why there is none, and what it cost."""

    name: str
    path: Path | None
    why: str
    cpu: float
    peak: int


def installed_peers(folder: Path | None, given: Mapping[str, Path]) -> list[Peer]:
    """Every setting of every tool that an interpreter is known for: given by name, or FOLDER/NAME/bin/python.

    ONNX Runtime's quantizer comes with optkit, so it is always there.
    """
    pythons = dict(given)
    for file in sorted(TOOLS.glob("*.py")):
        inside = folder / file.stem / "bin" / "python" if folder else None
        if file.stem not in pythons and inside is not None and inside.exists():
            pythons[file.stem] = inside
    pythons.setdefault("onnxruntime", Path(sys.executable))
    unknown = set(pythons) - {file.stem for file in TOOLS.glob("*.py")}
    if unknown:
        known = ", ".join(sorted(file.stem for file in TOOLS.glob("*.py")))
        raise UsageError(f"no peer is called {sorted(unknown)[0]!r}", where="--python", hint=f"there are {known}")
    return [Peer(tool, setting, python) for tool, python in sorted(pythons.items()) for setting in settings_of(tool)]


def settings_of(tool: str) -> list[str]:
    command = [sys.executable, "-I", str(RUNNER), str(TOOLS / f"{tool}.py")]
    found: list[str] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found


def peer_result(peer: Peer, entry: Entry) -> Made:
    """The peer's file, made anew only where the model, the feeds or the peer's script changed."""
    folder = entry.results / _as_name(peer.name)
    script, kept = TOOLS / f"{peer.tool}.py", folder / "made.json"
    key = digest_of_files(entry.model, entry.feeds, script, more=f"{peer.setting} {peer.python}")
    if kept.exists() and (found := json.loads(kept.read_text(encoding="utf-8")))["key"] == key:
        return _made(peer.name, folder, Cost(**found["cost"]))
    command = [str(peer.python), "-I", str(RUNNER), str(script), peer.setting, str(entry.model), str(entry.feeds)]
    cost = _run([*command, str(folder / "model.onnx")], folder)
    kept.write_text(json.dumps({"key": key, "cost": asdict(cost)}, indent=1), encoding="utf-8")
    return _made(peer.name, folder, cost)


def our_result(name: str, options: Sequence[str], entry: Entry) -> Made:
    """`optkit quantize --int8` with options, always made anew."""
    folder = entry.results / _as_name(name)
    command = [sys.executable, "-m", "optkit", "quantize", str(entry.model), "--int8", "--data", str(entry.calibration), "--no-cache"]
    return _made(name, folder, _run([*command, *options, "-o", str(folder / "model.onnx")], folder))


def _run(command: Sequence[str], folder: Path) -> Cost:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return measured(command, folder / "log.txt", limit=LIMIT)


def _made(name: str, folder: Path, cost: Cost) -> Made:
    path = folder / "model.onnx"
    why = cost.why if cost.code != 0 else "" if path.exists() else "exit 0, and no model"
    return Made(name, None if why else path, why, cost.cpu, cost.peak)


def _as_name(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name)
