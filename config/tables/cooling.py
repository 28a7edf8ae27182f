"""The [cooling] table: cooling down and warming up."""

from typing import Literal, Self

from pydantic import Field, model_validator

from coldframe.config.section import Contradiction, ContradictionError, Section
from coldframe.config.tables.values import Setpoint, Setpoints


class CoolingSettings(Section):
    """Settings for cooling the sensor and for warming it up again. Without a setpoint, they have no effect."""

    tolerance_c: float = Field(
        default=0.3,
        ge=0.05,
        le=5,
        description="Maximum deviation from the setpoint, above or below, at which frames are shot. Dark current "
        "doubles about every 6 C, so 0.3 C changes it by about 3.5 %.",
    )
    dwell_s: float = Field(
        default=60.0,
        ge=0,
        le=3600,
        description="How long the temperature must stay within the tolerance before frames are shot.",
    )
    deadline_s: float = Field(
        default=1200.0,
        ge=1,
        le=14400,
        description="Maximum time to reach the setpoint and hold it; after that, the setpoint counts as out of reach.",
    )
    fallback_c: Setpoints = Field(
        default=(),
        description="Warmer setpoints to use if a setpoint is out of reach, for example on a summer night. Sets with "
        "that setpoint are then shot at the nearest of these setpoints that can be reached. If none is reached, "
        "they are shot at the nearest multiple of 5 C within reach, and otherwise without cooling. Darks that "
        "are planned for lights, or that would be shot without cooling, are skipped.",
    )
    ramp_c_per_min: float = Field(
        default=5.0,
        gt=0,
        le=1000,
        description="Maximum cooling rate, in degrees per minute. With a high value, the camera determines the rate.",
    )
    at_end: Literal["warm", "hold", "off"] = Field(
        default="warm",
        description='State of the cooler at the end of the night: "warm" raises the setpoint slowly, then switches '
        'the cooler off; "hold" keeps the sensor cold; "off" switches the cooler off at once.',
    )
    warm_ramp_c_per_min: float = Field(
        default=3.0,
        gt=0,
        le=1000,
        description="Maximum warming rate, in degrees per minute. Slow warming protects the sensor window from dew and "
        "stress.",
    )
    warm_to_c: Setpoint = Field(
        default=10.0, description="Sensor temperature at which the warm-up ends and the cooler is switched off."
    )

    @model_validator(mode="after")
    def _check_times(self) -> Self:
        if self.dwell_s >= self.deadline_s:
            text = f"found {self.dwell_s:g}; allowed: less than deadline_s = {self.deadline_s:g}"
            raise ContradictionError([Contradiction(("dwell_s",), text)])
        return self
