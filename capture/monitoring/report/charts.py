"""Draw the charts of the morning report from its values."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import TypeGuard

from markupsafe import Markup

from coldframe.capture.monitoring.report.contents import (
    CameraReport,
    FramePoint,
    Growth,
    MasterReport,
    Reading,
    SetReport,
    TuningReport,
)
from coldframe.capture.monitoring.report.svg import HEIGHT, Axis, Chart, padded

LOW_HEIGHT = 190
_STEPS_MIN = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720)
_MOST_TIMES = 6
GAP = timedelta(minutes=2)
"""Maximum time between two readings that a curve connects."""


def _is_known(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def histogram_chart(master: MasterReport, unit: str) -> Markup | None:
    """Draw the histogram of a master on a logarithmic scale, so that a single hot pixel is visible."""
    if master.look is None:
        return None
    histogram = master.look.histogram
    most = max(histogram.counts)
    chart = Chart(
        Axis(histogram.low, histogram.high, f"value, {unit}"),
        Axis(0.7, max(most * 2, 10), "pixels", logarithmic=True),
        f"Histogram with at most {most:,} pixels in a bin",
    )
    chart.bars(histogram.counts, histogram.low, histogram.high)
    return chart.drawn()


def growth_chart(growth: Sequence[Growth]) -> Markup | None:
    """Draw the noise of a master against the number of frames, with a 1/sqrt(N) curve through the first known value."""
    known = [(each.frames, each.noise_adu) for each in growth if _is_known(each.noise_adu) and each.noise_adu > 0]
    if len(known) < 2:  # noqa: PLR2004 - a line
        return None
    first_n, first_noise = known[0]
    last_n = known[-1][0]
    ideal = [(float(frames), first_noise * math.sqrt(first_n / frames)) for frames in _spread(first_n, last_n)]
    values = [noise for _, noise in known] + [noise for _, noise in ideal]
    chart = Chart(
        Axis(first_n * 0.9, last_n * 1.1, "frames, N", logarithmic=True),
        Axis(min(values) / 1.15, max(values) * 1.15, "noise, ADU", logarithmic=True),
        f"Noise of the master: {first_noise:.3g} ADU with {first_n} frames, {known[-1][1]:.3g} with {last_n}",
        LOW_HEIGHT,
    )
    chart.line(ideal, "model")
    chart.line(known)
    chart.dots(known, radius=1.8)
    return chart.drawn()


def _spread(first: int, last: int) -> list[float]:
    return [first * (last / first) ** (step / 24) for step in range(25)]


def level_chart(frames: Sequence[FramePoint]) -> Markup | None:
    """Draw the level of each frame in order of arrival. Rejected frames are marked and do not affect the scale."""
    levels = [frame.level_adu for frame in frames if _is_known(frame.level_adu) and not frame.rejected]
    if not levels:
        return None
    middle = (min(levels) + max(levels)) / 2
    # The axis covers at least a hundredth of the level, so that a stable level looks stable.
    span = max(max(levels) - min(levels), abs(middle) / 100, 1.0)
    axis = Axis(middle - 0.6 * span, middle + 0.6 * span, "level, ADU")
    return _frame_chart(frames, [frame.level_adu for frame in frames], axis, "Level")


def temperature_chart(frames: Sequence[FramePoint]) -> Markup | None:
    """Draw the sensor temperature of each frame. Rejected frames are marked."""
    known = [frame.sensor_c for frame in frames if _is_known(frame.sensor_c) and not frame.rejected]
    if not known:
        return None
    middle = (min(known) + max(known)) / 2
    # The axis covers at least half a degree, so that a stable temperature looks stable.
    span = max(max(known) - min(known), 0.5)
    axis = Axis(middle - 0.6 * span, middle + 0.6 * span, "sensor, °C")
    return _frame_chart(frames, [frame.sensor_c for frame in frames], axis, "Sensor temperature")


def _frame_chart(frames: Sequence[FramePoint], values: Sequence[float | None], axis: Axis, name: str) -> Markup:
    placed = list(enumerate(zip(frames, values, strict=True), start=1))
    bad = [(float(place), value) for place, (frame, value) in placed if frame.rejected]
    rejected = f", {len(bad)} rejected" if bad else ""
    top = max(len(frames), 2)
    parts = range(1, top + 1) if top <= 10 else [1, *(round(top * part / 4) for part in range(1, 5))]  # noqa: PLR2004
    ticks = tuple(float(part) for part in dict.fromkeys(parts))
    chart = Chart(
        Axis(0.5, top + 0.5, "frame", ticks=ticks), axis, f"{name} of {len(frames)} frames{rejected}", LOW_HEIGHT
    )
    good = [(float(place), value) for place, (frame, value) in placed if not frame.rejected]
    chart.line([point for point in good if point[1] is not None], "faint")
    chart.dots(good)
    chart.crosses(bad)
    return chart.drawn()


def tuning_chart(tuning: TuningReport) -> Markup | None:
    """Draw the level of each test frame against the allowed band."""
    tests = tuning.tests
    if not tests:
        return None
    top = max([tests[-1].high_adu, *(test.level_adu for test in tests)]) * 1.1
    ticks = tuple(float(number) for number in range(1, len(tests) + 1))
    chart = Chart(
        Axis(0.5, len(tests) + 0.5, "test", ticks=ticks[:: -(-len(ticks) // 10)]),
        Axis(0, top, "level, ADU"),
        f"Levels of {len(tests)} test frames of {tuning.title}",
        LOW_HEIGHT,
    )
    chart.band(tests[-1].low_adu, tests[-1].high_adu)
    chart.line([(0.5, tests[-1].target_adu), (len(tests) + 0.5, tests[-1].target_adu)], "model")
    points = [(number, test.level_adu) for number, test in enumerate(tests, start=1)]
    chart.line(points, "faint")
    chart.dots(points, radius=3.5)
    return chart.drawn()


def transfer_chart(camera: CameraReport) -> Markup | None:
    """Draw the photon transfer curve (noise against signal) and the model of read noise plus shot noise."""
    points = [(signal, noise) for signal, noise in camera.curve if 1 < signal < math.inf and 0 < noise < math.inf]
    if not points:
        return None
    highest = max(signal for signal, _ in points) * 1.3
    is_modelled = _is_known(camera.e_per_adu) and camera.e_per_adu > 0
    e_per_adu = camera.e_per_adu if is_modelled and camera.e_per_adu is not None else 1.0
    read_adu = camera.read_noise_e / e_per_adu if _is_known(camera.read_noise_e) else 0.0

    def noise(signal: float) -> float:
        return math.hypot(read_adu, math.sqrt(signal / e_per_adu))

    signals = [highest ** (step / 48) for step in range(49)]
    values = [each for _, each in points] + [noise(1.0), noise(highest)]
    chart = Chart(
        Axis(1.0, highest, "signal, ADU", logarithmic=True),
        Axis(min(values) / 1.3, max(values) * 1.3, "noise, ADU", logarithmic=True),
        f"Photon transfer curve of {camera.camera}, {len(points)} points",
        HEIGHT + 40,
    )
    if is_modelled:
        chart.line([(signal, noise(signal)) for signal in signals], "model")
    chart.dots(sorted(points), radius=2.6)
    return chart.drawn()


def sensor_chart(readings: Sequence[Reading], zone: tzinfo | None) -> Markup | None:
    """Draw the sensor temperature and the setpoint over the night."""
    known = [(each.at, each.sensor_c) for each in readings if _is_known(each.sensor_c)]
    if not known:
        return None
    wanted = [each.setpoint_c for each in readings if each.setpoint_c is not None]
    axis = padded([*(value for _, value in known), *wanted], "sensor, °C")
    coldest, warmest = min(value for _, value in known), max(value for _, value in known)
    description = f"Sensor temperature from {coldest:.1f} to {warmest:.1f} °C"
    chart = Chart(_times(readings[0].at, readings[-1].at, zone), axis, description, HEIGHT)
    chart.line(_stepped([(each.at, each.setpoint_c) for each in readings]), "model")
    chart.line(_over_time([(each.at, each.sensor_c) for each in readings]))
    return chart.drawn()


def cooler_chart(readings: Sequence[Reading], zone: tzinfo | None) -> Markup | None:
    """Draw the cooler power over the night."""
    if not any(_is_known(each.power_percent) for each in readings):
        return None
    chart = Chart(_times(readings[0].at, readings[-1].at, zone), Axis(0, 105, "cooler, %"), "Cooler power", HEIGHT)
    chart.line(_over_time([(each.at, each.power_percent) for each in readings]))
    return chart.drawn()


def _over_time(values: Sequence[tuple[datetime, float | None]]) -> list[tuple[float, float | None]]:
    """Return the points of a curve over time, with a break wherever two points are more than `GAP` apart."""
    points: list[tuple[float, float | None]] = []
    before: datetime | None = None
    for at, value in values:
        if before is not None and at - before > GAP:
            points.append((at.timestamp(), None))
        points.append((at.timestamp(), value))
        before = at
    return points


def _stepped(values: Sequence[tuple[datetime, float | None]]) -> list[tuple[float, float | None]]:
    """Return the points of a curve over time for a value that changes in steps."""
    points: list[tuple[float, float | None]] = []
    for at, value in _over_time(values):
        if points and points[-1][1] is not None and value is not None and points[-1][1] != value:
            points.append((at, points[-1][1]))
        points.append((at, value))
    return points


def _times(first: datetime, last: datetime, zone: tzinfo | None) -> Axis:
    """Return an axis with local clock times."""
    minutes = max((last - first).total_seconds() / 60, 1 / 60)
    step = next((each for each in _STEPS_MIN if minutes / each <= _MOST_TIMES), _STEPS_MIN[-1])
    local = first.astimezone(zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    at = midnight + timedelta(minutes=step) * -((midnight - local) // timedelta(minutes=step))
    marks: list[datetime] = []
    while at <= last and len(marks) < 4 * _MOST_TIMES:
        marks.append(at)
        at += timedelta(minutes=step)
    return Axis(
        first.timestamp(),
        max(last.timestamp(), first.timestamp() + 1),
        "local time",
        ticks=tuple(mark.timestamp() for mark in marks),
        words=tuple(f"{mark.astimezone(zone):%H:%M}" for mark in marks),
    )


def unit_of(made: SetReport) -> str:
    """Return the unit of the pixel values in the master of a set."""
    return "relative" if made.kind.value == "flat" else "ADU"
