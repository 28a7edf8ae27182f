"""The [flats] and [flats.filters.NAME] tables: level and exposure of flats."""

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, model_validator

from coldframe.config.section import Contradiction, Name, Section, refuse
from coldframe.config.tables.values import (
    Exposures,
    Fraction,
    Fractions,
)


class FilterFlatSettings(Section):
    """Settings for the flats of one filter; settings that are left out are taken from [flats]."""

    target: Fraction | None = Field(default=None, description="Like `flats.target`, for this filter.")
    band: Fractions | None = Field(default=None, description="Like `flats.band`, for this filter.")
    preferred_exposure_s: Exposures | None = Field(
        default=None, description="Like `flats.preferred_exposure_s`, for this filter."
    )
    exposure_limits_s: Exposures | None = Field(
        default=None, description="Like `flats.exposure_limits_s`, for this filter."
    )


class FlatSettings(Section):
    """The level of flats, and the search for their exposure."""

    source: Literal["panel", "sky"] = Field(
        default="panel",
        description='Light source for flats: "panel", or "sky" for the twilight sky, which needs a [site]. With '
        '"sky", the cover is open and the lamp is off.',
    )
    target: Fraction = Field(
        default=0.40,
        description="Target level, as a fraction of the range from the bias level to saturation. The level is the "
        "median of the central region. For a colour camera, the medians of the brightest and of the faintest colour in "
        "that region are used.",
    )
    band: Fractions = Field(
        default=(0.30, 0.50),
        description="Lowest and highest level of an acceptable flat, as fractions of the range from the bias level to "
        "saturation. For a colour camera, no colour may be above the upper limit, but the faintest colour may be as "
        "low as half the lower limit.",
    )
    preferred_exposure_s: Exposures = Field(
        default=(0.5, 3.0),
        description="Shortest and longest preferred exposure: long enough to avoid flicker and shutter marks, but "
        "short enough to avoid dark current. coldframe adjusts the panel's brightness accordingly.",
    )
    exposure_limits_s: Exposures = Field(
        default=(0.01, 60.0),
        description="Shortest and longest exposure to try if changing the brightness is not enough.",
    )
    maximum_tests: int = Field(default=12, ge=2, le=100, description="Maximum number of test frames per set.")
    tuning_deadline_s: float = Field(
        default=600.0, ge=1, le=14400, description="Maximum time to find the exposure of one set."
    )
    saturation_adu: int | None = Field(
        default=None,
        ge=255,
        le=65535,
        description="Level at which pixels clip, in ADU, if it is known to be below the full scale of the files.",
    )
    maximum_saturated_fraction: float = Field(
        default=0.001,
        ge=0,
        le=0.5,
        description="Maximum fraction of clipped pixels in the central region of an acceptable flat. It should be "
        "above 0, because hot pixels may clip.",
    )
    pedestal: Literal["auto", "dark-flat", "bias"] = Field(
        default="auto",
        description='Frames to subtract from flats: "dark-flat", "bias", or "auto", which uses dark flats if any '
        'are planned. With "auto", the remaining dark flats are skipped if the first five show that '
        "the master bias is sufficient.",
    )
    filters: dict[Name, FilterFlatSettings] = Field(
        default_factory=dict, description="Different values for individual filters, as [flats.filters.NAME] tables."
    )

    def for_filter(self, name: str | None) -> Self:
        """Return these settings, overridden by the settings of the named filter."""
        own = self.filters.get(name) if name else None
        return self.model_copy(update=own.model_dump(exclude_none=True)) if own else self

    @model_validator(mode="after")
    def _check_levels(self) -> Self:
        refuse(self._contradictions())
        return self

    def _contradictions(self) -> Iterator[Contradiction]:
        tables: list[tuple[str | None, tuple[str, ...]]] = [
            (None, ()),
            *((name, ("filters", name)) for name in self.filters),
        ]
        for name, where in tables:
            flats = self.for_filter(name)
            low, high = flats.band
            if not low < flats.target < high:
                text = f"found {flats.target:g}; allowed: inside the band, {low:g} to {high:g}"
                yield Contradiction((*where, "target"), text)
            shortest_s, longest_s = flats.exposure_limits_s
            low_s, high_s = flats.preferred_exposure_s
            if low_s < shortest_s or high_s > longest_s:
                limits = f"exposure_limits_s = [{shortest_s:g}, {longest_s:g}]"
                text = f"found [{low_s:g}, {high_s:g}]; allowed: within {limits}"
                yield Contradiction((*where, "preferred_exposure_s"), text)
