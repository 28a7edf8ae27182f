import pytest

from coldframe.devices.indi.pixels.bayer import at_first_pixel


@pytest.mark.parametrize(
    ("offset_x", "offset_y", "seen"),
    [
        ("0", "0", "RGGB"),
        ("1", "0", "GRBG"),
        ("0", "1", "GBRG"),
        ("1", "1", "BGGR"),
        ("2", "-1", "GBRG"),
        ("", "?", "RGGB"),
    ],
)
def test_the_pattern_is_shifted_by_odd_offsets(offset_x: str, offset_y: str, seen: str) -> None:
    assert at_first_pixel("RGGB", offset_x, offset_y) == seen


def test_other_arrays_are_unchanged() -> None:
    assert at_first_pixel("", "1", "1") == ""
    assert at_first_pixel("XTRANS", "1", "0") == "XTRANS"
