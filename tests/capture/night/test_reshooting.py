"""Which flats count as exposed longer already."""

import pytest

from coldframe.capture.night.reshooting import was_reshot
from coldframe.capture.steps import ShootStep
from coldframe.config.frames import FrameKind, ReadoutSettings


@pytest.mark.parametrize(
    ("filter_name", "angle_deg", "is_same"),
    [("L", 30.3, True), ("L", 120.0, False), ("R", 30.0, False), ("L", None, True)],
)
def test_only_the_flats_of_the_filter_and_angle_count(
    filter_name: str, angle_deg: float | None, *, is_same: bool
) -> None:
    flat = ShootStep(FrameKind.FLAT, 25, "L", None, ReadoutSettings(), -10.0, rotator_deg=30.0)
    assert was_reshot(flat, {(filter_name, angle_deg)}) is is_same
