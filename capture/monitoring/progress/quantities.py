"""Format durations, exposure times, noise, panel states and temperature readings as text."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # importing the events takes 0.1 s, and commands that run no night also format quantities
    from coldframe.capture.events.kinds import PanelChanged, TemperatureRead

MINUTE_S, HOUR_S = 60, 3600

ON_SETPOINT_C = 0.5
"""Maximum difference from the setpoint at which the sensor counts as being at the setpoint, for display."""


def printable(text: str) -> str:
    """Return `text` as one line without control characters. Messages from drivers can contain control characters."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def duration_text(seconds: float) -> str:
    """Return a duration as text ("42 s", "12 min", "1 h 04 min"), or a dash for NaN and infinity."""
    if not math.isfinite(seconds):  # a journal can contain any number
        return "-"
    whole = round(seconds)
    if whole < 2 * MINUTE_S:
        return f"{whole} s"
    minutes = round(seconds / MINUTE_S)
    if minutes < HOUR_S // MINUTE_S:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def short_duration_text(seconds: float) -> str:
    """Return a duration as `duration_text` does, but omit "min" after hours ("1 h 04")."""
    minutes = round(seconds / MINUTE_S) if math.isfinite(seconds) else 0
    return duration_text(seconds) if minutes < HOUR_S // MINUTE_S else f"{minutes // 60} h {minutes % 60:02d}"


def exposure_text(exposure_s: float) -> str:
    """Return an exposure time as text ("300 s", "0.842 s", "0.032 ms")."""
    return f"{exposure_s:.5g} s" if exposure_s >= 0.001 or exposure_s == 0 else f"{exposure_s * 1000:.3g} ms"  # noqa: PLR2004 - one millisecond


def noise_text(noise_adu: float) -> str:
    """Return a noise value in ADU as text, with decimals only for small values."""
    return f"{noise_adu:,.0f}" if abs(noise_adu) >= 100 else f"{noise_adu:.3g}"  # noqa: PLR2004 - three digits


def panel_text(panel: "PanelChanged") -> str:
    """Return the state of a panel as text, such as "lit at 120, cover closed"."""
    return ", ".join(panel_parts(panel))


def panel_parts(panel: "PanelChanged") -> tuple[str, ...]:
    """Return the states of the panel light and the cover, such as "lit at 120" and "cover closed"."""
    light = "dark" if not panel.lit else "lit" if panel.brightness is None else f"lit at {panel.brightness}"
    return (light,) if panel.cover is None else (light, f"cover {panel.cover.value}")


def temperature_text(reading: "TemperatureRead") -> str:
    """Return a temperature reading as text, such as "-9.8 C, setpoint -10.0 C, power 43 %"."""
    parts = ["no reading" if reading.sensor_c is None else f"{reading.sensor_c:.1f} C"]
    if reading.setpoint_c is not None:
        parts.append(f"setpoint {reading.setpoint_c:.1f} C")
    if reading.power_percent is not None:
        parts.append(f"power {reading.power_percent:.0f} %")
    return ", ".join(parts)


def is_on_setpoint(reading: "TemperatureRead") -> bool:
    """Return True if the sensor is at its setpoint."""
    return (
        reading.sensor_c is not None
        and reading.setpoint_c is not None
        and abs(reading.sensor_c - reading.setpoint_c) <= ON_SETPOINT_C
    )
