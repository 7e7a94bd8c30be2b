"""The same numbers each time: where every step's randomness starts, and what the libraries under it are told meanwhile."""

import os
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from optkit.cores import usable_cores


@contextmanager
def reproducible(threads: int, device: str) -> Iterator[None]:
    """Train so that the same thing comes out again; afterwards randomness, threads and switches are what they were."""
    import torch

    before = (random.getstate(), np.random.get_state(), torch.get_num_threads(), torch.are_deterministic_algorithms_enabled())
    graphics = (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic)
    torch.set_num_threads(threads or _cores())
    if device != "cpu":
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
        torch.use_deterministic_algorithms(True, warn_only=True)
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    try:
        with torch.random.fork_rng(enabled=True), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*deterministic.*")
            yield
    finally:
        torch.use_deterministic_algorithms(before[3])
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = graphics
        torch.set_num_threads(before[2])
        np.random.set_state(before[1])
        random.setstate(before[0])


def start_randomness(*numbers: int) -> None:
    """Let everything random, dropout and the user's augmentation included, follow from these numbers from here on."""
    import torch

    seed = int(np.random.SeedSequence(numbers).generate_state(1, np.uint32)[0])
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


@contextmanager
def same_randomness(*numbers: int) -> Iterator[None]:
    """Whatever is drawn in here follows from these numbers; afterwards randomness is what it was."""
    import torch

    before = (random.getstate(), np.random.get_state())
    with torch.random.fork_rng():
        start_randomness(*numbers)
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])


def _cores() -> int:
    """Those that this process may use, shared with the other processes of this machine that train with it."""
    return max(1, usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
