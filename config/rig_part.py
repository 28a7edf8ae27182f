"""The base class of all tables of a rig file, and the types of their numbers."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Celsius = Annotated[float, Field(ge=-100, le=80)]


class RigPart(BaseModel):
    """A table of a rig file. It is immutable, and refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)
