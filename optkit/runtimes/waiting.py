"""How long PyTorch's threads keep their cores busy while they wait for each other."""

import os
from collections.abc import Mapping

SPINS, POLICY = "GOMP_SPINCOUNT", "OMP_WAIT_POLICY"
FEW = "1000"
"""Some microseconds, which is what GNU OpenMP itself takes where it knows of more threads than cores."""
_ours: set[str] = set()


def sleep_while_waiting() -> None:
    """Called before PyTorch is imported to train: threads that wait sleep after microseconds, no longer after milliseconds.

    Their turns are what other programs, and the thread that they wait for, need the cores for: on two cores that were busy already a
    step of a small network took 0.91 s of computing time with two threads that turn, and 0.13 s with two that sleep. Whoever set either
    variable has decided otherwise.
    """
    if not {SPINS, POLICY} & os.environ.keys():
        os.environ[SPINS] = FEW
        _ours.add(SPINS)


def undisturbed() -> Mapping[str, str]:
    """The environment without that: for processes whose time is measured, which is to be what users will see."""
    return {name: value for name, value in os.environ.items() if name not in _ours}
