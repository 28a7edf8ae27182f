"""Frames that a camera delivers twice."""

from coldframe.capture.judging.repeats import NightDigests


def test_a_set_has_each_frame_once() -> None:
    digests = NightDigests().of_set("bias")
    assert b"1" not in digests
    digests.add(b"1")
    assert b"1" in digests
    assert b"2" not in digests


def test_a_frame_of_another_set_is_a_repeat() -> None:
    night = NightDigests()
    night.of_set("bias at -10 C").add(b"1")
    assert b"1" in night.of_set("bias, uncooled")
    assert b"2" not in night.of_set("bias, uncooled")


def test_frames_on_the_disk_can_be_judged_again() -> None:
    night = NightDigests()
    night.of_set("flat L").add(b"1")
    again = night.of_set("flat L")
    assert b"1" not in again
    again.add(b"1")
    assert b"1" in again
    assert b"1" in night.of_set("flat R")


def test_the_set_that_saw_a_frame_first_owns_it() -> None:
    night = NightDigests()
    first, second = night.of_set("bias"), night.of_set("dark")
    first.add(b"1")
    assert not first.is_of_other_set(b"1")
    assert second.is_of_other_set(b"1")
    second.add(b"1")
    assert second.is_of_other_set(b"1")
