"""Judge dust shadows that the flat does not remove."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from coldframe.calibration.diagnosis.estimating.dust import NEW_SIGMA, Change, DustResult, Shadow
from coldframe.calibration.diagnosis.examination import Examination
from coldframe.calibration.diagnosis.findings import Finding, Kind, Origin, Sensitivity
from coldframe.calibration.frames.setup import setup_of
from coldframe.calibration.kernels.block_sums import BIN

LEAST_WEAKNESS = 0.03
"""Smallest relative difference in strength, common to all shadows, that matters."""

OTHER_SHADOWS = (
    "the shadows of the flat differ from those of the lights; possible causes: a different filter, or a filter that is "
    "not seated in the same way"
)

_CLOCK_HOURS = 12
_AGAIN = (
    "shoot the flats again with the focus and rotation of the lights, before the telescope is dismantled: "
    "coldframe run --only flat --redo"
)


def dust_findings(examined: Examination) -> Iterator[Finding]:
    """Yield a finding if the shadows differ between lights and flats."""
    if examined.masters.flat is None:
        return
    dust = examined.dust
    # Without dithering, dark nebulae look like new shadows.
    dust = dust if examined.pattern.is_dithered else replace(dust, new=(), gone=())
    singles = (*dust.new, *dust.gone)
    if dust.change is Change.WEAKER:
        subtracted = examined.masters.dark is not None or examined.masters.bias is not None
        if abs(dust.scale - 1) > LEAST_WEAKNESS and subtracted:
            yield _weaker(examined, dust)
    elif dust.change is not Change.NONE:
        yield _changed(examined, dust)
    if dust.change in {Change.NONE, Change.WEAKER} and singles:
        yield _single(examined, dust)


def _changed(examined: Examination, dust: DustResult) -> Finding:
    down, across = dust.down * BIN, dust.across * BIN
    error = dust.error * BIN
    if dust.change is Change.SHIFTED:
        size, unit = float(np.hypot(down, across)), "px"
        cause = f"the donuts are displaced by {size:.0f} px ({_clock(down, across)}): the optical train shifted"
    elif dust.change is Change.TURNED:
        size, unit, error = abs(dust.angle), "degrees", dust.error
        cause = f"the camera or filter was turned by {size:g} degrees between lights and flats (rotation)"
    elif dust.change is Change.SCALED:
        size, unit, error = 100 * (dust.scale - 1), "% of the diameter", 100 * dust.error
        growth = "larger" if dust.scale > 1 else "smaller"
        cause = f"the donuts of the lights are {abs(size):.0f} % {growth} than those of the flats: the focus moved"
    else:
        size, unit, error = float(len(dust.new) + len(dust.gone)), "shadows", 0.0
        cause = OTHER_SHADOWS
    return Finding(
        Kind.DUST,
        cause + _stated(examined),
        size,
        unit,
        error,
        dust.gain**0.5,
        matters=True,
        evidence=(
            f"with this change, chi-square of the flat's {examined.motes.radii.size} shadows improves by "
            f"{dust.gain:,.0f}; {len(dust.new)} new and {len(dust.gone)} missing shadows remain"
        ),
        fix=_AGAIN,
        harm=1 + dust.gain**0.5 / max(examined.motes.mask.sum(), 1) ** 0.5,
        origin=Origin.OTHER_SHADOWS if dust.change is Change.OTHER else None,
    )


def _stated(examined: Examination) -> str:
    """Return, in brackets, filters and positions of focuser and rotator that differ between lights and flat, if any."""
    assert examined.masters.flat is not None
    flat, light = setup_of(examined.masters.flat.header), examined.light
    said = []
    if light.filter_name and flat.filter_name and light.filter_name != flat.filter_name:
        said.append(f"filter {light.filter_name} and {flat.filter_name}")
    for name, own, other in (
        ("focuser", light.train.focus_steps, flat.train.focus_steps),
        ("rotator", light.train.rotation_deg, flat.train.rotation_deg),
    ):
        if own is not None and other is not None and own != other:
            said.append(f"{name} {own:g} and {other:g}")
    return f" (the headers of lights and flat state {', '.join(said)})" if said else ""


def _clock(down: float, across: float) -> str:
    """Return a direction as the hour on a clock face, with the first row of the image at the top."""
    hour = round(np.degrees(np.arctan2(across, -down)) / 30) % _CLOCK_HOURS
    return f"{hour or _CLOCK_HOURS} o'clock"


def _weaker(examined: Examination, dust: DustResult) -> Finding:
    relation = "weaker" if dust.scale < 1 else "stronger"
    return Finding(
        Kind.DUST,
        f"the donuts of the lights are {abs(dust.scale - 1):.0%} {relation} than those of the flat; possible causes: a "
        "wrong pedestal or focus",
        dust.scale,
        "times the flat",
        dust.error,
        dust.gain**0.5,
        matters=True,
        evidence=f"the median of {examined.motes.radii.size} shadows; their positions and sizes agree",
        fix="combine the flats with dark flats of their exposure; check whether the focus changed",
        harm=1 + abs(dust.scale - 1),
        origin=Origin.WEAK_SHADOWS,
    )


def _single(examined: Examination, dust: DustResult) -> Finding:
    worst = max((*dust.new, *dust.gone), key=lambda each: each.significance)
    is_new = worst in dust.new
    what = "a new dust mote not shown by the flats" if is_new else "a dust mote in the flats is missing from the lights"
    count = len(dust.new) + len(dust.gone)
    more = f" ({len(dust.new)} new, {len(dust.gone)} gone)" if count > 1 else ""
    return Finding(
        Kind.DUST,
        f"{what}{more}: at {_place(worst)}, {2 * worst.radius * BIN} px wide",
        100 * abs(worst.depth),
        "% deep",
        100 * abs(worst.depth) / worst.significance,
        worst.significance,
        matters=True,
        evidence=f"fixed on the sensor in {examined.lights} lights, while the stars move",
        fix="shoot the flats again; lights from before the change need the old flat: coldframe run --only flat --redo",
        harm=1 + abs(worst.depth) * examined.sky_adu / examined.stack_noise_adu,
    )


def _place(shadow: Shadow) -> str:
    return f"column {shadow.across * BIN + 1}, row {shadow.down * BIN + 1}"


def dust_limit(examined: Examination) -> Sensitivity | str:
    """Return the depth of the faintest new mote that would be found, or the reason why none would be."""
    if examined.masters.flat is None:
        return "no flat"
    if not examined.pattern.is_dithered:
        return (
            "without dithering, new shadows cannot be distinguished from dark nebulae; shifted shadows would be found"
        )
    area = 12**2 * np.pi / 4 / BIN**2
    depth = NEW_SIGMA[2] * examined.dust.noise / float(np.sqrt(area))
    return Sensitivity(100 * depth, "%", "depth of a new shadow of 12 px")
