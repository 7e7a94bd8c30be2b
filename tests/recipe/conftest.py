"""A pass for recipes to name, as a plug-in would add it."""

from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from optkit.passes import Pass


class Nested(BaseModel):
    """A parameter with parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    depth: int = Field(1, description="How deep.")


class Shrink(Pass):
    """Makes a model smaller by a ratio.

    More about it.
    """

    draws: ClassVar[str | None] = "calibration"
    ratio: float = Field(0.5, gt=0, lt=1, description="How much smaller.")
    method: Literal["auto", "static"] = Field("auto", description="How it is done.")
    skip: tuple[str, ...] = Field((), description="Nodes to leave alone.")
    inner: Nested = Field(Nested(), description="More.")
    limit: int | None = Field(None, ge=1, description="At most so many.")


class Melt(Pass):
    """Gives what no other pass takes."""

    gives: ClassVar[str] = "torch"
    needs: ClassVar[tuple[str, ...]] = ("torch",)


@pytest.fixture(autouse=True)
def added_passes(add_passes: Callable[[Mapping[str, type[Pass]]], None]) -> None:
    add_passes({"shrink": Shrink, "melt": Melt})
