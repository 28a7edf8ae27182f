"""Readings during an exposure, and frozen readings."""

import math
from collections.abc import Callable

import pytest

from coldframe.capture.judging.thermometer import ExposureTemperature, FrozenReading, TemperatureWatch

Sensor = Callable[[float], float | None]


@pytest.mark.parametrize("readings", [[-10.0], [-10.0, -9.8], [-10.25, -9.75, -10.0]])
def test_a_dark_with_all_readings_in_tolerance_is_within(readings: list[float]) -> None:
    assert watched(readings).within


@pytest.mark.parametrize("readings", [[-9.6], [-10.0, -10.4, -10.0], [-10.0, -9.6]])
def test_one_reading_out_of_tolerance_rejects_a_dark(readings: list[float]) -> None:
    verdict = watched(readings)
    assert not verdict.within
    assert (verdict.lowest_c, verdict.highest_c) == (min(readings), max(readings))


def watched(readings: list[float]) -> ExposureTemperature:
    watch = TemperatureWatch(-10.0, 0.3)
    for sensor_c in [*readings, None, -273.15]:
        watch.observe(sensor_c)
    return watch.verdict()


def test_a_dark_without_readings_is_not_within() -> None:
    watch = TemperatureWatch(-10.0, 0.3)
    watch.observe(-300.0)
    assert not watch.verdict().within
    assert "no temperature reading" in watch.verdict().message


Power = Callable[[float], float | None]


def frozen(sensor: Sensor, power: Power, until_s: int = 7200) -> str | None:
    """Return the first fault found with one reading per second."""
    readings = FrozenReading()
    for time_s in range(until_s):
        readings.observe(float(time_s), sensor(time_s), power(time_s))
        if fault := readings.fault(float(time_s)):
            return fault
    return None


@pytest.mark.parametrize(("end", "text"), [(0.0, "from 45 to 0 %"), (100.0, "from 45 to 100 %")])
def test_a_reading_that_ignores_the_power_is_frozen(end: float, text: str) -> None:
    fault = frozen(lambda _: -10.0, lambda time_s: 45.0 if time_s < 1000 else end)
    assert fault is not None
    assert "-10 C for 1300 s, to the last digit" in fault
    assert text in fault


@pytest.mark.parametrize(
    ("sensor", "power"),
    [
        pytest.param(lambda _: -10.0, lambda time_s: 45 + 5 * math.sin(time_s / 60), id="a good cooler"),
        pytest.param(lambda _: -10.0, lambda time_s: 60 - time_s / 120, id="a night that slowly gets colder"),
        pytest.param(lambda _: -10.0, lambda time_s: max(30 - time_s / 60, 0.0), id="ambient as cold as the sensor"),
        pytest.param(lambda _: -10.0, lambda _: 0.0, id="a driver that always reports power 0"),
        pytest.param(lambda _: -10.0, lambda _: None, id="a driver that reports no power"),
        pytest.param(lambda _: -10.0, lambda _: 100.0, id="a cooler at its limit"),
        pytest.param(lambda _: -10.0, lambda time_s: 100.0 * (time_s % 20 < 9), id="a cooler that switches on and off"),
        pytest.param(
            lambda time_s: -10.0 + time_s // 100 / 10, lambda time_s: 45.0 * (time_s < 1000), id="a warm sensor"
        ),
        pytest.param(lambda _: None, lambda time_s: 45.0 * (time_s < 1000), id="no reading"),
    ],
)
def test_plausible_readings_are_not_frozen(sensor: Sensor, power: Power) -> None:
    assert frozen(sensor, power) is None
