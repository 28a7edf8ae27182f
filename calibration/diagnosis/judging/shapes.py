"""Judge colour variations and gradients across the field."""

from collections.abc import Iterator
from math import hypot

from coldframe.calibration.diagnosis.examination import Examination
from coldframe.calibration.diagnosis.findings import Finding, Kind, Sensitivity

SIGNIFICANT = 5.0
LEAST_COLOUR = 0.004
LEAST_UNEVENNESS = 0.01
STARS_SIGMA = 5.0


def colour_findings(examined: Examination) -> Iterator[Finding]:
    """Yield a finding if the shape of the flat differs between colours."""
    if examined.colour is None:
        return
    shape, place, _ = examined.colour
    if shape.significance <= SIGNIFICANT or abs(shape.value) <= LEAST_COLOUR:
        return
    yield Finding(
        Kind.COLOUR,
        "the shape of the flat differs between colours; possible causes: the colour of the light source or the filter "
        "was not that of the lights, or the light source flickered",
        100 * abs(shape.value),
        "% of the sky",
        100 * shape.error,
        shape.significance,
        matters=True,
        evidence=f"the level of the {place} changes by {shape.value:.2%} +- {shape.error:.2%} in areas without nebulae",
        fix="shoot the flats under steady illumination and through the same filter as the lights: "
        "coldframe run --only flat --redo",
        harm=1 + abs(shape.value) * examined.sky_adu / examined.stack_noise_adu,
    )


def gradient_findings(examined: Examination) -> Iterator[Finding]:
    """Yield a finding if the flat is uneven, as shown by the same stars before and after a meridian flip."""
    found = examined.unevenness
    if found is None:
        return
    size = hypot(found.across.value, found.down.value)
    error = hypot(found.across.value * found.across.error, found.down.value * found.down.error) / max(size, 1e-9)
    significance = hypot(found.across.significance, found.down.significance)
    if significance <= STARS_SIGMA or size <= LEAST_UNEVENNESS:
        return
    yield Finding(
        Kind.GRADIENT,
        "the flats were unevenly illuminated (the flat source is not uniform)",
        100 * size,
        "% across the field",
        100 * error,
        significance,
        matters=True,
        evidence=(
            f"the flux of {found.stars} stars depends on their position: {found.across.value:+.1%} +- "
            f"{found.across.error:.1%} from left to right and {found.down.value:+.1%} +- {found.down.error:.1%} from "
            "top to bottom, before and after the flip; a sky gradient does not affect the flux of stars"
        ),
        fix="turn the panel by 180 degrees for half of the flats, or add a diffuser: coldframe run --only flat --redo",
        harm=1 + size * examined.sky_adu / examined.stack_noise_adu,
    )


def colour_limit(examined: Examination) -> Sensitivity | str:
    """Return the smallest change in colour that would be found, or the reason why none would be."""
    if examined.colour is None:
        if examined.light.mosaic is None:
            return "the lights have no filter array"
        if not examined.sky_adu > 0:
            return "the lights show no sky"
        return "nebulae fill so much of the field that their colours cannot be distinguished from those of the flat"
    least = max(SIGNIFICANT * examined.colour.largest_error, LEAST_COLOUR)
    return Sensitivity(100 * least, "%", "change in colour across the field")


def gradient_limit(examined: Examination) -> Sensitivity | str:
    """Return the smallest unevenness of the flat that would be found, or the reason why none would be."""
    if examined.masters.flat is None:
        return "no flat"
    if examined.unevenness is None:
        return (
            "an uneven flat cannot be distinguished from a sky gradient; lights from both sides of the meridian, or a "
            "sky flat, would settle the question"
        )
    least = STARS_SIGMA * max(examined.unevenness.across.error, examined.unevenness.down.error)
    return Sensitivity(100 * max(least, LEAST_UNEVENNESS), "%", "unevenness of the flat across the field")
