"""Colours and gradients over the field."""

from collections.abc import Iterator

from coldframe.calibration.diagnosis.examination import Examination
from coldframe.calibration.diagnosis.findings import Finding, Kind, Sensitivity

SIGNIFICANT = 6.0
LEAST_COLOUR = 0.005
LEAST_UNEVENNESS = 0.01
STARS_SIGMA = 5.0


def colour_findings(examined: Examination) -> Iterator[Finding]:
    """Yield a shape of the flat that differs between colours."""
    if examined.colour is None:
        return
    shape, place = examined.colour
    if shape.significance <= SIGNIFICANT or abs(shape.value) <= LEAST_COLOUR:
        return
    yield Finding(
        Kind.COLOUR,
        "the shape of the flat differs between colours: light of another colour, another filter, or flicker",
        100 * abs(shape.value),
        "% of the sky",
        100 * shape.error,
        shape.significance,
        matters=True,
        evidence=f"relative to green, the {place} changes by {shape.value:+.2%} +- {shape.error:.2%} in all lights",
        fix="shoot the flats through the filter of the lights with steady light: coldframe run --only flat --redo",
        harm=1 + abs(shape.value) * examined.sky_adu / examined.stack_noise_adu,
    )


def gradient_findings(examined: Examination) -> Iterator[Finding]:
    """Yield an uneven flat, which only stars on both sides of the meridian can show."""
    found = examined.unevenness
    if found is None:
        return
    slopes = (("left to right", found.across), ("top to bottom", found.down))
    name, slope = max(slopes, key=lambda each: each[1].significance)
    if slope.significance <= STARS_SIGMA or abs(slope.value) <= LEAST_UNEVENNESS:
        return
    yield Finding(
        Kind.GRADIENT,
        "the light of the flats was uneven (flat source not uniform)",
        100 * abs(slope.value),
        "% over the field",
        100 * slope.error,
        slope.significance,
        matters=True,
        evidence=(
            f"{found.stars} stars change by {slope.value:+.1%} +- {slope.error:.1%} from {name} when the telescope "
            "turns over; a gradient of the sky would not change them"
        ),
        fix="turn the panel by 180 degrees for half of the flats, or add a diffuser: coldframe run --only flat --redo",
        harm=1 + abs(slope.value) * examined.sky_adu / examined.stack_noise_adu,
    )


def colour_limit(examined: Examination) -> Sensitivity | str:
    """Return the smallest change of colour that would be found, or the reason why none would."""
    if examined.colour is None:
        return "the lights have no filter array"
    least = max(SIGNIFICANT * examined.colour[0].error, LEAST_COLOUR)
    return Sensitivity(100 * least, "%", "change of colour over the field")


def gradient_limit(examined: Examination) -> Sensitivity | str:
    """Return the smallest unevenness of the flat that would be found, or the reason why none would."""
    if examined.masters.flat is None:
        return "no flat"
    if examined.unevenness is None:
        return (
            "undecided between an uneven flat and a gradient of the sky; lights from both sides of the meridian, or a "
            "sky flat, would decide"
        )
    least = STARS_SIGMA * max(examined.unevenness.across.error, examined.unevenness.down.error)
    return Sensitivity(100 * max(least, LEAST_UNEVENNESS), "%", "unevenness of the flat over the field")
