"""optkit and every installed peer side by side on given models: time, score, fidelity, size, and what making each file cost.

Each peer runs in an environment of its own. All files of a model are then timed in one interleaved run. A folder keeps the peers'
files, so that a second run makes only optkit's anew. README.md in this folder says how to install each peer.
"""

import argparse
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from side_by_side.bout import Asked, hold
from side_by_side.making import installed_peers
from side_by_side.tables import bout_text, summary_text
from side_by_side.verdict import Bout

from optkit import __version__
from optkit.errors import OptkitError
from optkit.records import read_record, write_record


def main() -> None:
    """Compare on every model given; then sum up every comparison that the folder of results holds."""
    asked, results, models = _arguments()
    for folder in models:
        bout = hold(folder, results, asked)
        (results / folder.absolute().name / "bout.json").write_text(write_record(bout), encoding="utf-8")
        print(bout_text(bout), end="\n\n", flush=True)
    bouts = [read_record(Bout, file.read_bytes()) for file in sorted(results.glob("*/bout.json"))]
    text = "\n\n".join([*(bout_text(bout) for bout in bouts), summary_text(bouts)]) if bouts else "no results yet"
    (results / "peers.md").write_text(text + "\n", encoding="utf-8")
    (results / "peers.json").write_text("[" + ",\n".join(write_record(bout) for bout in bouts) + "]\n", encoding="utf-8")
    print(summary_text(bouts) if bouts else text)


def _arguments() -> tuple[Asked, Path, list[Path]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, metavar="FOLDER", help="holds model.onnx, calibration.npz and evaluation.npz")
    parser.add_argument("--results", type=Path, default=Path("peers-results"), help="where files and tables are kept")
    parser.add_argument("--environments", type=Path, metavar="FOLDER", help="environments named like the files in peers/")
    parser.add_argument("--python", action="append", default=[], metavar="NAME=PATH", help="the interpreter of one peer's environment")
    parser.add_argument("--variant", action="append", default=[], metavar="OPTIONS", help="also optkit with these options: '--effort high'")
    parser.add_argument("--metric", help="task score: a metric of optkit, or module:function")
    parser.add_argument("--referee", metavar="COMMAND", help="task score: a program; {model}, {data}, {name} and {scores} are filled in")
    parser.add_argument("--output", help="the output that carries the answer")
    parser.add_argument("--examples", type=int, default=128, help="for SQNR, evenly spaced")
    parser.add_argument("--seconds", type=float, default=60, help="of timing, for each model")
    parser.add_argument("--emulate", type=int, default=0, metavar="N", help="also run N examples on an emulated CPU without VNNI")
    given = parser.parse_args()
    pythons = {name: Path(path) for name, _, path in (each.partition("=") for each in given.python)}
    asked = Asked(
        peers=tuple(installed_peers(given.environments, pythons)),
        variants=tuple(given.variant),
        metric=given.metric,
        referee=given.referee,
        output=given.output,
        examples=given.examples,
        seconds=given.seconds,
        emulate=given.emulate,
        made_with=f"optkit {__version__}{_commit()}",
    )
    return asked, given.results, given.models


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return f" ({done.stdout.strip()})" if done.returncode == 0 else ""


if __name__ == "__main__":
    try:
        main()
    except OptkitError as error:
        sys.exit(str(error))
