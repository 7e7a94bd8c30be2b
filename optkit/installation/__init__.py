"""What is installed, what this machine can do for INT8, and what is wrong with it."""

from dataclasses import dataclass

from optkit.measure import Machine


@dataclass(frozen=True)
class Feature:
    """An instruction set that matters for INT8, and what its presence or absence means."""

    name: str
    present: bool
    means: str


@dataclass(frozen=True)
class Device:
    """A device that `--device` can name."""

    word: str
    installed: bool
    works: bool
    """A small model ran on it."""
    fault: str | None
    """What is wrong, where it is installed and does not work."""
    how: str | None
    """What to install or to mend, or what it would run on."""


@dataclass(frozen=True)
class Extra:
    """An optional part of optkit."""

    name: str
    gives: str
    present: bool
    install: str


@dataclass(frozen=True)
class Trouble:
    """Something that will not work as it is."""

    what: str
    hint: str


@dataclass(frozen=True)
class Installation:
    """Everything `optkit doctor` says."""

    machine: Machine
    features: tuple[Feature, ...]
    devices: tuple[Device, ...]
    extras: tuple[Extra, ...]
    troubles: tuple[Trouble, ...]
