"""The charts of the report, which are drawn only if there is data, and accept any numbers."""

import math
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta

import pytest
from markupsafe import Markup

from coldframe.capture.monitoring.report.charts import (
    cooler_chart,
    growth_chart,
    histogram_chart,
    level_chart,
    sensor_chart,
    temperature_chart,
    transfer_chart,
    tuning_chart,
)
from coldframe.capture.monitoring.report.contents import (
    CameraReport,
    FramePoint,
    Growth,
    Histogram,
    MasterReport,
    PixelStatistics,
    Reading,
    Stretch,
    TuningReport,
    TuningTest,
)

AT = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)


def parts(chart: Markup | None, name: str) -> list[ET.Element]:
    assert chart is not None
    return [each for each in ET.fromstring(str(chart)).iter() if each.get("class") == name]


def frame(level_adu: float | None, rejected: str = "", sensor_c: float | None = -10.0) -> FramePoint:
    return FramePoint(AT, "a.fits", 10.0, sensor_c, level_adu, 9.0, 0.0, rejected)


def camera(e_per_adu: float | None, *curve: tuple[float, float]) -> CameraReport:
    return CameraReport("Camera", 100.0, e_per_adu, 1.5, None, None, None, curve, ())


def test_charts_without_values_are_omitted() -> None:
    assert growth_chart([Growth(1, None), Growth(2, 5.0)]) is None
    assert level_chart([frame(None), frame(500.0, "light")]) is None
    assert temperature_chart([frame(500.0, sensor_c=None)]) is None
    assert tuning_chart(TuningReport("flat", None, (), None, None, None, "")) is None
    assert transfer_chart(camera(0.2, (0.5, 1.0), (math.inf, 2.0))) is None
    assert sensor_chart([Reading(AT, None, -10.0, None)], UTC) is None
    assert cooler_chart([Reading(AT, -10.0, -10.0, None)], UTC) is None
    assert histogram_chart(MasterReport("m.fits", AT, 3, 500.0, 2.5, 0.0), "ADU") is None


def test_a_histogram_has_one_outline() -> None:
    statistics = PixelStatistics(
        4, 4, 0.0, 1.0, 2.0, Histogram(0.0, 2.0, (1, 0, 15)), Stretch(0.0, 2.0), Stretch(0.0, 2.0)
    )
    chart = histogram_chart(MasterReport("m.fits", AT, 3, 500.0, 2.5, 0.0, statistics), "ADU")
    assert len(parts(chart, "bars")) == 1


def test_the_noise_of_a_growing_master_is_compared_with_its_ideal() -> None:
    chart = growth_chart([Growth(1, None), Growth(2, 5.0), Growth(3, 4.0), Growth(4, math.nan)])
    assert len(parts(chart, "model")) == len(parts(chart, "line")) == 1


def test_rejected_frames_are_crosses_and_do_not_affect_the_scale() -> None:
    good = [frame(500.0), frame(503.0)]
    chart = level_chart([*good, frame(60_000.0, "light"), frame(None, "torn")])
    assert len(parts(chart, "bad")) == 2
    labels = [each.text for each in ET.fromstring(str(chart)).iter("text")]
    assert (
        labels[: labels.index("1")]
        == [each.text for each in ET.fromstring(str(level_chart(good))).iter("text")][: labels.index("1")]
    )


def test_a_tuning_shows_its_band_and_each_test() -> None:
    tests = tuple(
        TuningTest(1.0, 120, level, 26_000.0, 20_000.0, 32_000.0, 0.0, "") for level in (500.0, 9000.0, 26_100.0)
    )
    chart = tuning_chart(TuningReport("flat Ha", "Ha", tests, 1.0, 120, 65_535.0, ""))
    assert len(parts(chart, "band")) == 1
    (dots,) = parts(chart, "dot")
    assert len(dots) == 3


@pytest.mark.parametrize(("e_per_adu", "models"), [(0.25, 1), (None, 0), (math.nan, 0)])
def test_the_model_of_photon_transfer_needs_the_gain(e_per_adu: float | None, models: int) -> None:
    chart = transfer_chart(camera(e_per_adu, (100.0, 20.0), (1000.0, 63.0)))
    assert len(parts(chart, "model")) == models


def test_a_gap_in_the_readings_interrupts_the_curve() -> None:
    times = [AT + timedelta(seconds=seconds) for seconds in (0, 30, 60, 600, 630)]
    readings = [Reading(at, -10.0 + number, -10.0, 40.0) for number, at in enumerate(times)]
    for chart in (sensor_chart(readings, UTC), cooler_chart(readings, UTC)):
        (line,) = parts(chart, "line")
        assert line.attrib["d"].count("M") == 2
