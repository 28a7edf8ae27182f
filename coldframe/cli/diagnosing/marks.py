"""The marks on the sensor map: the flat's dust shadows, their positions in the lights, and unmatched shadows."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimating.dust import Change, DustResult, Shadow
from coldframe.calibration.diagnosis.estimating.motes import Motes
from coldframe.calibration.diagnosis.examination import Examination
from coldframe.calibration.kernels.block_sums import BIN

MOST_MARKS = 60
_MARGIN = 2


@dataclass(frozen=True, slots=True)
class Mark:
    """A circle around a shadow.

    Attributes
    ----------
    down, across, radius
        Centre and radius, in pixels of the sensor.
    name
        CSS class of the circle: "flat", "moved", "new" or "gone".
    """

    down: float
    across: float
    radius: float
    name: str


def marks_of(examined: Examination) -> list[Mark]:
    """Return marks for the flat's shadows and, where the lights differ from the flat, also for the lights' shadows."""
    motes, dust = examined.motes, examined.dust
    if examined.masters.flat is None:
        return []
    order = _clearest(motes)
    marks = []
    for each in order:
        down, across = motes.centres[each]
        marks.append(_mark(down, across, motes.radii[each], "flat"))
    if dust.change in {Change.SHIFTED, Change.TURNED, Change.SCALED}:
        for each in order:
            place = moved(motes.centres[each], motes.mask.shape, dust)
            marks.append(_mark(*place, motes.radii[each] * dust.scale, "moved"))
    return [*marks, *_single(dust.new, "new"), *_single(dust.gone, "gone")]


def _clearest(motes: Motes) -> list[int]:
    """Return the numbers of the clearest shadows that are not cut off by the edges of the image."""
    shape = np.array(motes.mask.shape)
    reach = motes.radii[:, None] + _MARGIN
    whole = np.all((motes.centres >= reach) & (motes.centres <= shape - 1 - reach), axis=1)
    strength = [
        float(np.abs(motes.template[int(down), int(across)])) * radius
        for (down, across), radius in zip(motes.centres, motes.radii, strict=True)
    ]
    return [int(each) for each in np.argsort(strength)[::-1] if each in np.nonzero(whole)[0]][:MOST_MARKS]


def _single(shadows: tuple[Shadow, ...], name: str) -> Iterator[Mark]:
    for shadow in shadows:
        yield _mark(shadow.down, shadow.across, shadow.radius, name)


def _mark(down: float, across: float, radius: float, name: str) -> Mark:
    """Return the mark of a shadow, from its position and radius in bins."""
    return Mark((float(down) + 0.5) * BIN, (float(across) + 0.5) * BIN, (float(radius) + _MARGIN) * BIN, name)


def moved(centre: NDArray[np.float64], shape: tuple[int, ...], dust: DustResult) -> tuple[float, float]:
    """Return the position of a flat's shadow in the lights, in bins, after the rotation and the shift."""
    angle = np.deg2rad(dust.angle)
    middle = (shape[0] - 1) / 2, (shape[1] - 1) / 2
    down, across = float(centre[0]) - middle[0], float(centre[1]) - middle[1]
    turned_down = np.cos(angle) * down - np.sin(angle) * across
    turned_across = np.sin(angle) * down + np.cos(angle) * across
    return float(turned_down) + middle[0] + dust.down, float(turned_across) + middle[1] + dust.across


def overlay(marks: list[Mark], shape: tuple[int, int]) -> Markup:
    """Return an SVG that covers a picture of the sensor; `shape` is (height, width) in pixels."""
    height, width = shape
    circles = "".join(
        f'<circle class="{mark.name}" cx="{mark.across:.1f}" cy="{mark.down:.1f}" r="{mark.radius:.1f}"/>'
        for mark in marks
    )
    opening = f'<svg class="marks" viewBox="0 0 {width} {height}" preserveAspectRatio="none" aria-hidden="true">'
    return Markup(f"{opening}{circles}</svg>")  # noqa: S704 - numbers only
