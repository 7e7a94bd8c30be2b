"""Runs one setting of one peer in the peer's own environment, which has nothing of optkit: Python 3.10 and NumPy are enough here.

    python -I run_peer.py PEER.py                                    prints the settings that it offers, as JSON
    python -I run_peer.py PEER.py SETTING MODEL FEEDS.npz OUTPUT     makes OUTPUT

FEEDS.npz has an array for each input of the model, and slice i of each is one whole feed. A peer's file defines `SETTINGS`: name →
function of (model, feeds, output).
"""

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np


def read_feeds(path: Path) -> list[dict[str, Any]]:
    """Every feed, by input name."""
    with np.load(path) as file:
        arrays = dict(file)
    count = len(next(iter(arrays.values())))
    return [{name: np.asarray(array[i]) for name, array in arrays.items()} for i in range(count)]


def main() -> None:
    """Do what the arguments say."""
    settings = runpy.run_path(sys.argv[1])["SETTINGS"]
    if len(sys.argv) == 2:
        print(json.dumps(list(settings)))
        return
    setting, model, feeds, output = sys.argv[2:]
    settings[setting](Path(model), read_feeds(Path(feeds)), Path(output))


if __name__ == "__main__":
    main()
