"""Shares and sizes as people write them."""

import pytest
from pydantic import ValidationError

from optkit.passes.prune_channels import PruneChannels
from optkit.passes.quantize import Quantize


@pytest.mark.parametrize("written", ["8%", 0.08, "0.08"])
def test_a_share_is_a_number_or_a_percentage(written: object) -> None:
    assert PruneChannels(macs=written).macs == pytest.approx(0.08)


@pytest.mark.parametrize("written", ["much", "0%", "100%", 1.5])
def test_what_is_no_share_below_one(written: object) -> None:
    with pytest.raises(ValidationError):
        PruneChannels(macs=written)


@pytest.mark.parametrize(("written", "size"), [("2GB", 2 * 10**9), ("1MiB", 2**20), (4096, 4096), ("4096", 4096)])
def test_a_size_is_a_number_of_bytes_or_text(written: object, size: int) -> None:
    assert Quantize(max_memory=written).max_memory == size


@pytest.mark.parametrize("written", ["much", "0", -1, "2 parsecs"])
def test_what_is_no_size(written: object) -> None:
    with pytest.raises(ValidationError):
        Quantize(max_memory=written)
