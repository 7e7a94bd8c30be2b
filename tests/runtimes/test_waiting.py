"""Training lets PyTorch's threads sleep while they wait; what is measured in other processes runs as it does for users."""

import json
import os
import subprocess
import sys

import pytest

LOOK = """
import json, os, sys
import optkit.passes.distill
from optkit.timing.processes import surroundings
names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
print(json.dumps([[each.get(name) for name in names] for each in (os.environ, surroundings())] + ["torch" in sys.modules]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "inside", "measured"),
    [
        ({}, ["1000", None], [None, None]),
        ({"GOMP_SPINCOUNT": "7"}, ["7", None], ["7", None]),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, [None, "ACTIVE"], [None, "ACTIVE"]),
    ],
)
def test_threads_sleep_where_a_pass_trains_unless_somebody_said_otherwise(
    given: dict[str, str], inside: list[str | None], measured: list[str | None]
) -> None:
    around = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    said = subprocess.run([sys.executable, "-c", LOOK], env={**around, **given}, capture_output=True, text=True, check=True).stdout
    assert json.loads(said) == [inside, measured, False], "set before PyTorch is imported: later it would not count"
