"""What every settings class shares: no unknown key, no number that is none, bounds that name themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic_core import PydanticCustomError


def _in_unit_interval(value: float) -> float:
    if not 0.0 <= value <= 1.0:
        raise PydanticCustomError("unit_interval", "Input should be between 0 and 1")
    return value


UnitInterval = Annotated[float, AfterValidator(_in_unit_interval)]


class Settings(BaseModel):
    """Base of all settings: no unknown key, no number that is none, no silent change of type; written as it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, serialize_by_alias=True)


def listed(names: Iterable[str]) -> str:
    """What is allowed, for a message."""
    return ", ".join(names) or "nothing"
