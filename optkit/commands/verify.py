"""`optkit verify`: is a model still what optkit made, and of what was it made?"""

import json
from pathlib import Path
from typing import Any

import click

from optkit.commands._options import MODEL, device_option, json_option


@click.command(name="verify")
@click.argument("model", type=MODEL)
@click.option("--source", type=MODEL, metavar="MODEL", help="Check too that this is the model it was made from.")
@device_option
@json_option
def command(model: Path, source: Path | None, device: str, as_json: bool) -> int:
    """Check the manifest that optkit wrote into MODEL: the file is unchanged, and it loads.

    Exit code 1 where something does not agree with the manifest.
    """
    from optkit.formats import read_artifact
    from optkit.manifest import changes, read_manifest
    from optkit.runtimes import open_session
    from optkit.versions import versions_for

    wrong = changes(model)
    manifest = read_manifest(model) or {}
    sources = {manifest["source"]["digest"], *(step["source"] for step in manifest["steps"])}
    if source is not None and read_artifact(source).digest not in sources:
        wrong.append(f"{source} is not the model it was made from, which was called {manifest['source']['file']}")
    if not wrong:
        open_session(model, device)
    here = versions_for()
    other = {name: made for step in manifest["steps"] for name, made in step["versions"].items() if here.get(name, made) != made}
    if as_json:
        facts = {"model": str(model), "verified": not wrong, "wrong": wrong, "manifest": manifest, "other_versions": other}
        click.echo(json.dumps(facts, indent=2))
    else:
        click.echo(_text(model, manifest, wrong, other))
    return 1 if wrong else 0


def _text(model: Path, manifest: dict[str, Any], wrong: list[str], other: dict[str, str]) -> str:
    steps = " → ".join(step["pass"] for step in manifest["steps"])
    made = f"made from {manifest['source']['file']} (sha256 {manifest['source']['digest'][:12]}…) by {steps}"
    verdict = [f"wrong: {each}" for each in wrong] or ["verified: it is as optkit wrote it, and it loads"]
    note = [f"made with other versions: {', '.join(f'{name} {number}' for name, number in other.items())}"] if other else []
    return "\n".join([f"{model}: {made}", *note, *verdict])
