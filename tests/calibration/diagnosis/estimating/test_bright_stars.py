"""Stars that saturate: discs that are as large as the dithers, so that most lights share their light."""

from dataclasses import replace

import numpy as np
import pytest

from coldframe.calibration.diagnosis.diagnosing import diagnose
from tests.calibration.diagnosis import faults
from tests.calibration.diagnosis.examined_nights import examined
from tests.calibration.diagnosis.faults import Fault
from tests.calibration.diagnosis.nights import Night, Simulated, draw, simulate

NIGHT = draw(405, stars=150, flip=False)
HEIGHT, WIDTH = NIGHT.size
PEAK_ADU = 50_000
WING_PX = 6


def with_saturated_star(night: Night, fault: Fault, radius_px: float) -> Simulated:
    """Return a night with a star whose disc saturates, and whose wings fall exponentially."""
    simulated = simulate(night, fault)
    y, x = np.ogrid[:HEIGHT, :WIDTH]
    lights = []
    for light, at in zip(simulated.lights, simulated.pointings, strict=True):
        distance = np.hypot(y - 0.3 * HEIGHT + at.dy, x - 0.3 * WIDTH + at.dx)
        star = PEAK_ADU * np.exp(-np.maximum(distance - radius_px, 0) / WING_PX)
        lights.append(np.clip(light + star, 0, np.iinfo(np.uint16).max).astype(np.uint16))
    return replace(simulated, lights=lights)


@pytest.mark.parametrize("radius_px", [20, 35])
def test_saturated_star_leaves_no_shadows(radius_px: float) -> None:
    seen = examined(with_saturated_star(NIGHT, faults.none(), radius_px))
    # The disc hides some of the few stars, so that a light may have too few; a disc that counts as stars hides all.
    assert seen.pattern.places.count(None) <= 2
    assert diagnose(seen).is_clean


def test_shadow_is_found_although_a_star_saturates() -> None:
    diagnosis = diagnose(examined(with_saturated_star(NIGHT, faults.new_mote(0.04), 20)))
    assert [finding.cause for finding in diagnosis.findings] == [
        "a new dust mote not shown by the flats: at column 729, row 513, 16 px wide"
    ]
