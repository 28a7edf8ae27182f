"""Translate the settings of lights into the terms of the rig: its filter names, readout modes and setpoints.

This module performs no I/O.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import median

from coldframe.calibration.frames.names import is_same_name
from coldframe.calibration.frames.rules import Tolerances
from coldframe.calibration.frames.setup import FrameSetup, OpticalTrain
from coldframe.capture.judging.thermometer import plausible_c
from coldframe.config.counts import LightNoise
from coldframe.config.frames import ReadoutSettings
from coldframe.config.settings import Settings


@dataclass(frozen=True, slots=True)
class RigSnapshot:
    """State of the connected rig before the first step; None marks values that were not queried.

    Attributes
    ----------
    filters
        Names of the wheel's filters in slot order.
    in_beam
        Filter in the beam.
    readout_modes
        Labels of the camera's readout modes; empty if there is only one mode.
    sensor_c
        Sensor temperature, degrees Celsius.
    cooler_on
        True if the cooler is on.
    rotator_deg, rotator_limits_deg
        Angle of the rotator, and the lowest and the highest angle that it accepts.
    """

    filters: tuple[str, ...] | None = None
    in_beam: str | None = None
    readout_modes: tuple[str, ...] | None = None
    sensor_c: float | None = None
    cooler_on: bool | None = None
    rotator_deg: float | None = None
    rotator_limits_deg: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class ShotLight:
    """Settings of a light in the rig's terms.

    `setup` is used for library look-ups; `noise` is None if it was not measured. `flat_deg` is the rotator angle of the
    light's flat; None leaves the rotator alone.
    """

    setup: FrameSetup
    readout: ReadoutSettings
    setpoint_c: float | None
    exposure_s: float
    filter: str | None
    train: OpticalTrain
    noise: LightNoise | None = None
    flat_deg: float | None = None


def with_configured_filters(rig: RigSnapshot, settings: Settings) -> RigSnapshot:
    """Return the rig's state, with the configured filter names if the wheel was not queried."""
    if rig.filters is not None or settings.wheel is None:
        return rig
    return replace(rig, filters=settings.wheel.names)


def lights_in_rig_terms(
    setups: Iterable[FrameSetup], settings: Settings, rig: RigSnapshot, notes: list[str]
) -> list[ShotLight]:
    """Return the lights in the rig's terms, in the same order, and append every assumption to `notes`.

    Values that a header lacks are taken from the configuration. A light without a setpoint in its header gets the
    configured setpoint if the sensor was near this setpoint or if the sensor temperature is unknown. Otherwise, its
    setpoint is the sensor temperature, rounded to a whole degree.
    """
    every = list(setups)
    reached_c = _reached_setpoints_c(every, settings, notes)
    foreign: Counter[str] = Counter()
    lights = []
    for setup in every:
        label, known = setup.readout.readout_mode, _own_mode(setup.readout.readout_mode, settings, rig)
        if label is not None and known is None and rig.readout_modes:
            foreign[label] += 1
        readout = _readout(setup.readout, known, settings)
        setpoint_c = reached_c[_stated_setpoint_c(setup, settings)]
        name, is_cooled = name_in_wheel(setup.filter_name, rig.filters), setpoint_c is not None
        known_setup = replace(setup, readout=readout, setpoint_c=setpoint_c, cooled=is_cooled, filter_name=name)
        assert setup.exposure_s is not None
        lights.append(ShotLight(known_setup, readout, setpoint_c, setup.exposure_s, name, setup.train))
    for label, count in foreign.items():
        own = settings.camera.readout_mode or "the current mode"
        used = f'{lights_text(count)} used readout mode "{label}", which the camera does not have'
        notes.append(f"{used}: {own} is used instead")
    return lights


def _own_mode(label: str | None, settings: Settings, rig: RigSnapshot) -> str | None:
    """Return the camera's spelling of a readout mode, or None if the camera is not known to have this mode."""
    own = rig.readout_modes or tuple(filter(None, [settings.camera.readout_mode]))
    return next((mode for mode in own if label is not None and mode.casefold() == label.casefold()), None)


def _readout(stated: ReadoutSettings, mode: str | None, settings: Settings) -> ReadoutSettings:
    """Return the readout settings of a light; configured values replace values that the header lacks."""
    camera = settings.camera
    return ReadoutSettings(
        gain=camera.gain if stated.gain is None else stated.gain,
        offset=camera.offset if stated.offset is None else stated.offset,
        binning=stated.binning,
        readout_mode=mode or camera.readout_mode,
    )


def _stated_setpoint_c(setup: FrameSetup, settings: Settings) -> float | None:
    """Return the setpoint in the header, rounded to 0.1 C, or a setpoint inferred from the sensor temperature."""
    if setup.setpoint_c is not None:
        return round(setup.setpoint_c, 1)
    configured_c, sensor_c = settings.camera.setpoint_c, plausible_c(setup.temperature_c)
    if configured_c is None or sensor_c is None or abs(sensor_c - configured_c) <= Tolerances().cooled_c:
        return configured_c
    return float(round(sensor_c))


def _reached_setpoints_c(
    setups: list[FrameSetup], settings: Settings, notes: list[str]
) -> dict[float | None, float | None]:
    """Map each stated setpoint to the one to use: the sensor temperature if the stated setpoint was not reached."""
    sensors: dict[float | None, list[float]] = defaultdict(list)
    for setup in setups:
        of_setpoint = sensors[_stated_setpoint_c(setup, settings)]
        if (sensor_c := plausible_c(setup.temperature_c)) is not None:
            of_setpoint.append(sensor_c)
    reached_c: dict[float | None, float | None] = {}
    for stated_c, read_c in sensors.items():
        reached_c[stated_c] = stated_c
        if stated_c is None or not read_c:
            continue
        if abs(median(read_c) - stated_c) > Tolerances().cooled_c:
            reached_c[stated_c] = float(round(median(read_c)))
            reached = f"the lights with setpoint {stated_c:g} C were shot at {reached_c[stated_c]:g} C"
            notes.append(f"{reached}: their darks are shot at the same temperature")
    return reached_c


def name_in_wheel(name: str | None, filters: tuple[str, ...] | None) -> str | None:
    """Return the wheel's spelling of a filter, or the name in the header if the wheel has no such filter.

    Accents and case are ignored, and Greek letters may be spelt out. For a filter named by a single letter, a
    difference in case is ignored only if exactly one filter in the wheel has this letter, because r and R are different
    filters.
    """
    if name is None or filters is None or name in filters:
        return name
    alike = [each for each in filters if is_same_name(each, name)]
    folded = [each for each in filters if each.casefold() == name.casefold()]
    return (alike or (folded if len(folded) == 1 else []) or [name])[0]


def lights_text(count: int) -> str:
    """Return "1 light", "2 lights" and so on."""
    return "1 light" if count == 1 else f"{count} lights"
