"""Limits on the retries of a night, such as budgets, breakers, power cycles and claims."""

import pytest

from coldframe.capture.session.retry_budget import (
    Breakers,
    Claims,
    ContestedError,
    HungCamera,
    OutOfRetriesError,
    Retries,
)


def test_a_breaker_opens_after_failures_in_a_row_and_closes_with_what_works() -> None:
    breakers = Breakers(failures=2)
    assert not breakers.failed("Wheel")
    breakers.worked("Wheel")
    assert not breakers.failed("Wheel")
    assert breakers.failed("Wheel"), "the second in a row opens it"
    assert breakers.is_open("Wheel")
    assert not breakers.failed("Wheel"), "which is told once"
    assert not breakers.is_open("Camera")
    breakers.worked("Wheel")
    assert not breakers.is_open("Wheel")


def test_only_devices_that_a_set_does_not_need_are_left_out() -> None:
    breakers = Breakers()
    breakers.stayed_away("Wheel")
    assert not breakers.is_left_out("Wheel"), "nobody said what is needed"
    breakers.begin_set(["Camera"])
    assert breakers.is_left_out("Wheel")
    breakers.begin_set(["Camera", "Wheel"])
    assert not breakers.is_left_out("Wheel")


def test_a_device_whose_breaker_is_open_gets_no_retries() -> None:
    retries = Retries(per_exposure=2)
    assert retries.tries_of("Camera") == 2
    retries.breakers.stayed_away("Camera")
    assert retries.tries_of("Camera") == 0


def is_hung_after_a_timeout(hung_camera: HungCamera) -> bool:
    hung_camera.count_timeout()
    return hung_camera.is_hung


def test_a_camera_hangs_after_three_timeouts_that_follow_a_reconnection() -> None:
    hung_camera = HungCamera(uses=2)
    assert [is_hung_after_a_timeout(hung_camera) for _ in range(5)] == [False, False, False, False, True]
    hung_camera.use()
    hangs = [is_hung_after_a_timeout(hung_camera) for _ in range(3)]
    assert hangs == [False, False, True], "a power cycle is a reconnection, too"
    hung_camera.use()
    assert hung_camera.uses_left == 0
    hung_camera.worked()
    assert not is_hung_after_a_timeout(hung_camera)


def test_a_camera_that_comes_back_again_and_again_costs_retries_in_the_end() -> None:
    hung_camera, free = HungCamera(uses=2), 0
    for _ in range(10):
        for _ in range(4):
            assert not is_hung_after_a_timeout(hung_camera)
            free += not hung_camera.costs_a_retry
        hung_camera.worked()
    assert free == HungCamera.FREE


def test_settings_are_restored_twice() -> None:
    claims = Claims(most=2)
    for _ in range(2):
        claims.reclaim("gain is 10 instead of 150")
    with pytest.raises(ContestedError, match="gain is 10 instead of 150; the settings were restored 2 times"):
        claims.reclaim("gain is 10 instead of 150")


def test_an_undisturbed_set_ends_the_row() -> None:
    claims = Claims(most=2)
    for _ in range(5):
        claims.begin_set()
        claims.reclaim("gain")
        claims.begin_set()
    claims.reclaim("gain")
    with pytest.raises(ContestedError):
        claims.reclaim("gain")


def test_retries_are_bounded_per_set_and_per_night() -> None:
    retries = Retries(per_set=2, per_night=3)
    retries.spend()
    retries.spend()
    with pytest.raises(OutOfRetriesError, match="this set"):
        retries.spend()
    retries.begin_set()
    retries.spend()
    with pytest.raises(OutOfRetriesError, match="this night"):
        retries.spend()
