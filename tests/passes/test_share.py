"""Shares as people write them."""

import pytest
from pydantic import ValidationError

from optkit.passes.prune_channels import PruneChannels


@pytest.mark.parametrize("written", ["8%", 0.08, "0.08"])
def test_a_share_is_a_number_or_a_percentage(written: object) -> None:
    assert PruneChannels(macs=written).macs == pytest.approx(0.08)


@pytest.mark.parametrize("written", ["much", "0%", "100%", 1.5])
def test_what_is_no_share_below_one(written: object) -> None:
    with pytest.raises(ValidationError):
        PruneChannels(macs=written)
