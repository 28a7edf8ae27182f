"""Names of cameras and filters as different programs write them."""

import pytest

from coldframe.calibration.frames.names import is_same_camera, is_same_name


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("ZWO CCD ASI2600MM Pro", "ZWO ASI2600MM Pro", True),
        ("ZWO CCD ASI2600MM Pro", "ASI2600MM Pro", True),
        ("ZWO CCD ASI2600MM Pro", "ASI2600MM", False),
        ("ZWO ASI120MM", "ZWO ASI120MM Mini", False),
        ("Canon EOS 6D", "Canon EOS 6D Mark II", False),
        ("Atik 314L #1", "Atik 314L #2", False),
        ("QHY CCD QHY268M-b1a2c3d", "QHY CCD QHY268M-0123456", False),
        ("QHY268M", "QHY 268 M", False),
        ("CCD 1", "Camera 1", False),
        ("QHY CCD QHY268M-b1a2c3d", "QHY268M", True),
        ("ZWO CCD ASI2600MM Pro", "ZWO ASI2600MC Pro", False),
        ("ZWO CCD ASI2600MM Pro", "ZWO ASI294MM Pro", False),
        ("CCD Simulator", "Guide Simulator", False),
        ("Camera", "Camera", True),
        ("Camera", "CCD", False),
    ],
)
def test_camera_names_are_compared_by_model(one: str, other: str, *, same: bool) -> None:
    assert is_same_camera(one, other) is same
    assert is_same_camera(other, one) is same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("H\u03b1", "Halpha", True),
        ("H\u03b1", "halpha ", True),
        ("Filtre n\u00b0 3", "Filtre no 3", True),
        ("R", "r", False),
        ("SII", "sii", True),
        ("H\u03b1", "H\u03b2", False),
        ("\u7ea2", "\u7eff", False),
        ("L", "L-Pro", False),
    ],
)
def test_names_are_compared_without_accents_and_case(one: str, other: str, *, same: bool) -> None:
    assert is_same_name(one, other) is same
