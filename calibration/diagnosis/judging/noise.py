"""Judge banding, and masters made from too few frames."""

from collections.abc import Iterator

from coldframe.calibration.diagnosis.estimating.lines import LinePattern
from coldframe.calibration.diagnosis.examination import Examination, frames_of
from coldframe.calibration.diagnosis.findings import Finding, Kind, Sensitivity
from coldframe.calibration.masters.reading import MasterPlanes

COMMON_SIGMA = 7.0
LEAST_COMMON = 0.03
"""Smallest banding common to all lights that matters, relative to the noise of a pixel."""

LEAST_OWN = 0.085
"""Smallest banding that differs from light to light and matters, relative to the noise of a pixel."""

LEAST_ALTERNATING = 0.03
"""Smallest difference between odd and even lines that matters, relative to the noise of a pixel."""

MOST_ERROR = 0.035
"""Largest variance that the error of a master may add to the stack, as a fraction of the variance of the stack."""

ADVISED_FRAMES = 20
"""Number of darks or flats that usually suffices."""

MOST_UNDITHERED = 0.25
"""Like `MOST_ERROR`, for a master made from enough frames and used for undithered lights."""

INDEPENDENT = 12
"""Largest number of dithered lights in which the errors of masters are assumed to add up; in further lights, dithering
averages these errors."""


def line_findings(examined: Examination) -> Iterator[Finding]:
    """Yield findings about banding by row and column."""
    for name, lines in (("rows", examined.rows), ("columns", examined.columns)):
        yield from _alternating(examined, name, lines)
        yield from _common(examined, name, lines)
        yield from _own(examined, name, lines)


def _common(examined: Examination, name: str, lines: LinePattern) -> Iterator[Finding]:
    excess = lines.common_adu2.value - _share_of_dark(examined, lines)
    least = (LEAST_COMMON * examined.noise_adu) ** 2
    if excess <= max(COMMON_SIGMA * lines.common_adu2.error, least):
        return
    size = excess**0.5
    where = (
        "the dark contains this pattern in a different amount: the gain or the temperature differs"
        if abs(lines.correlation) > 0.5  # noqa: PLR2004
        else "the dark does not contain this pattern: the bias pattern changed, or the gain or the readout mode differs"
    )
    yield Finding(
        Kind.BANDING,
        f"a fixed pattern of {name} that all lights share; {where}",
        size,
        "ADU",
        lines.common_adu2.error / 2 / size,
        excess / lines.common_adu2.error,
        matters=True,
        evidence=(
            f"the pattern that the {name} of all lights have in common is {size:.2f} ADU rms; its correlation with "
            f"that of the dark is {lines.correlation:+.2f}"
        ),
        fix="shoot darks with the gain, temperature and readout mode of the lights: coldframe run --only dark --redo",
        harm=1 + size / examined.stack_noise_adu * 10,
    )


def _own(examined: Examination, name: str, lines: LinePattern) -> Iterator[Finding]:
    own = lines.own_adu2.value - max(lines.common_adu2.value, 0.0)
    least = (LEAST_OWN * examined.noise_adu) ** 2
    if own <= max(COMMON_SIGMA * lines.own_adu2.error, least):
        return
    size = own**0.5
    yield Finding(
        Kind.BANDING,
        f"the noise of {name} differs from light to light, so no master can remove it",
        size,
        "ADU",
        lines.own_adu2.error / 2 / size,
        own / lines.own_adu2.error,
        matters=True,
        evidence=(
            f"the levels of {name} have a scatter of {size:.2f} ADU rms in each light, independently of the other "
            "lights"
        ),
        fix="use more lights with dithering; check cables, USB traffic and power supply; use a filter for row noise",
        harm=1 + size / examined.noise_adu,
    )


def _alternating(examined: Examination, name: str, lines: LinePattern) -> Iterator[Finding]:
    size = lines.alternating_adu
    if size.significance <= COMMON_SIGMA or abs(size.value) <= LEAST_ALTERNATING * examined.noise_adu:
        return
    flickers = lines.alternating_spread_adu > 0.1 * abs(size.value)
    yield Finding(
        Kind.BANDING,
        f"odd and even {name} differ{' by varying amounts, so something flickers' if flickers else ' in all lights'}",
        size.value,
        "ADU",
        size.error,
        size.significance,
        matters=True,
        evidence=(
            f"odd minus even {name}: {size.value:+.2f} +- {size.error:.2f} ADU; the level of the sky is "
            f"{examined.sky_adu:.0f} ADU; spread between lights {lines.alternating_spread_adu:.2f} ADU"
        ),
        fix=(
            "shoot the flats with longer exposures and a dimmer panel: coldframe run --only flat --redo; if the "
            "difference does not grow with the level of the sky, shoot new darks"
        ),
        harm=1 + abs(size.value) / examined.stack_noise_adu,
    )


def _share_of_dark(examined: Examination, lines: LinePattern) -> float:
    """Return the variance that the lines of the dark add to all lights.

    It is the variance of the lines in one frame, divided by the number of frames in the dark.
    """
    if examined.masters.dark is None:
        return 0.0
    frames = frames_of(examined.masters.dark) or 1
    return max(lines.own_adu2.value - max(lines.common_adu2.value, 0.0), 0.0) / frames


def budget_findings(examined: Examination) -> Iterator[Finding]:
    """Yield a finding for each master whose error adds much noise to the stack."""
    lights = min(examined.lights, INDEPENDENT) if examined.pattern.is_dithered else examined.lights
    for name, master, fraction in (
        ("dark", examined.masters.dark, examined.dark_fraction),
        ("flat", examined.masters.flat, examined.flat_fraction),
    ):
        if master is not None and _are_too_few(examined, frames_of(master), lights * fraction):
            yield _too_few(examined, name, master, lights * fraction)


def _are_too_few(examined: Examination, frames: int | None, added: float) -> bool:
    """Return whether a master's error adds too much variance; the limit is higher for a master with enough frames."""
    if frames is None or frames < ADVISED_FRAMES:
        return added > MOST_ERROR
    return not examined.pattern.is_dithered and added > MOST_UNDITHERED


def _too_few(examined: Examination, name: str, master: MasterPlanes, added: float) -> Finding:
    frames = frames_of(master)
    wanted = ADVISED_FRAMES if frames is None else min(int(frames * added / MOST_ERROR) + 1, 2 * ADVISED_FRAMES)
    fix = f"shoot at least {max(wanted, ADVISED_FRAMES)} {name}s: coldframe run --only {name} --redo"
    if frames is not None and frames >= ADVISED_FRAMES:
        fix = f"dither the lights, so that the noise of the {name} does not add up in the stack"
    condition = "" if examined.pattern.is_dithered else " without dithering"
    return Finding(
        Kind.BANDING,
        f"too few frames in the {name}" + ("" if frames is None else f" ({frames})"),
        100 * added,
        "% of the variance of the stack",
        0.0,
        added / MOST_ERROR,
        matters=True,
        evidence=(
            f"according to its uncertainty, the {name} can increase the variance of the stacked lights by {added:.0%}"
            f"{condition}"
        ),
        fix=fix,
        harm=1 + added,
    )


def line_limit(examined: Examination) -> Sensitivity | str:
    """Return the smallest banding that would be found, or the reason why none would be."""
    if examined.lights == 1:
        return "in a single light, a fixed pattern cannot be distinguished from noise"
    errors = [max(lines.common_adu2.error, 0.0) for lines in (examined.rows, examined.columns)]
    least = max((COMMON_SIGMA * max(errors)) ** 0.5, LEAST_COMMON * examined.noise_adu)
    return Sensitivity(least, "ADU", "fixed pattern of rows or columns, rms")
