"""Gain and offset, identified by the level and noise of bias frames."""

from coldframe.capture.shooting.gain_check import Fingerprint, setting_in_force
from coldframe.config.frames import ReadoutSettings

LOW, HIGH = ReadoutSettings(gain=0, offset=50), ReadoutSettings(gain=200, offset=50)
OF_LOW, OF_HIGH = Fingerprint(520.0, 4.1), Fingerprint(523.0, 16.0)


def test_a_gain_that_was_not_taken_is_known_by_the_bias() -> None:
    known = {LOW: OF_LOW, HIGH: OF_HIGH}
    assert setting_in_force(HIGH, Fingerprint(520.3, 4.15), known) == LOW
    assert setting_in_force(HIGH, Fingerprint(526.0, 15.0), known) is None
    assert setting_in_force(LOW, Fingerprint(519.0, 4.0), known) is None
    assert setting_in_force(HIGH, Fingerprint(700.0, 9.0), known) is None, "like nothing that is known"
    assert setting_in_force(HIGH, Fingerprint(520.3, 4.15), {LOW: OF_LOW}) == LOW


def test_an_offset_that_was_not_taken_is_known_by_the_level() -> None:
    other = ReadoutSettings(gain=0, offset=10)
    known = {LOW: OF_LOW, other: Fingerprint(120.0, 4.1)}
    assert setting_in_force(LOW, Fingerprint(120.5, 4.1), known) == other
