"""The exposure in the header of a frame, compared with the requested one."""

import pytest

from coldframe.config.frames import FrameKind
from coldframe.devices.errors import FrameDamagedError
from coldframe.devices.indi.pixels.exposure_check import ExposureCheck


def check(checked: ExposureCheck, asked_s: float, stated_s: float, kind: FrameKind = FrameKind.DARK) -> None:
    checked.begin(asked_s)
    checked.check({"EXPTIME": stated_s}, kind, asked_s + 2.0, None, is_raw=True)


@pytest.mark.parametrize(("asked_s", "measured_s"), [(60.0, 61.0), (2.0, 1.9), (30.0, 32.0), (1.0, 1.4)])
def test_the_camera_measures_bulb_exposures(asked_s: float, measured_s: float) -> None:
    checked = ExposureCheck("camera")
    check(checked, 1 / 4000, 1 / 4000, FrameKind.BIAS)
    check(checked, asked_s, measured_s)


@pytest.mark.parametrize(("asked_s", "stated_s"), [(60.0, 30.0), (0.5, 0.25), (30.0, 20.0)])
def test_another_exposure_is_refused(asked_s: float, stated_s: float) -> None:
    with pytest.raises(FrameDamagedError, match=r"M or B"):
        check(ExposureCheck("camera"), asked_s, stated_s)


def test_bias_frames_do_not_show_that_a_driver_states_exposures_well() -> None:
    checked = ExposureCheck("camera")
    check(checked, 1 / 4000, 1 / 4000, FrameKind.BIAS)
    for _ in range(2):
        with pytest.raises(FrameDamagedError):
            check(checked, 60.0, 1.0)
    check(checked, 60.0, 1.0)
