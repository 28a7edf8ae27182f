"""Simulated rigs: the tables of a rig file, and the rigs shipped with coldframe."""

import time
import tomllib
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from coldframe.config.rig_part import Celsius, Fraction, NotNegative, Positive, RigPart
from coldframe.config.simulated_dslr import DslrModel
from coldframe.config.tables.mqtt_panel import Family
from coldframe.errors import ColdframeError


class RigFileError(ColdframeError, ValueError):
    """A rig file cannot be used; the message lists all its mistakes."""


class GainModel(RigPart):
    """The camera's gain control, in steps of `db_per_step` decibels above `SensorModel.e_per_adu`."""

    maximum: Positive
    default: NotNegative = 0
    db_per_step: Positive = 0.1

    @model_validator(mode="after")
    def _default_within_range(self) -> Self:
        if self.default > self.maximum:
            raise ValueError(f"default {self.default:g} is above maximum {self.maximum:g}")
        return self


class OffsetModel(RigPart):
    """The camera's offset control; a step adds `adu_per_step` ADC steps to `SensorModel.pedestal_adu`."""

    maximum: Positive
    default: NotNegative = 0
    adu_per_step: Positive = 1

    @model_validator(mode="after")
    def _default_within_range(self) -> Self:
        if self.default > self.maximum:
            raise ValueError(f"default {self.default:g} is above maximum {self.maximum:g}")
        return self


class ReadoutMode(RigPart):
    """A readout mode: its label, and how it changes read noise and readout time."""

    label: str = Field(min_length=1)
    noise_factor: Positive = 1
    time_factor: Positive = 1


class SensorModel(RigPart):
    """A sensor with its amplifier and its ADC.

    Attributes
    ----------
    width, height
        Numbers of columns and rows that are read out, including the overscan.
    overscan_columns
        Columns at the right end of each row that collect neither light nor dark current.
    bit_depth, scaled_to_16_bit
        Number of bits of the ADC, and whether its values are scaled to 16 bits in files. "ADU" below means ADC steps.
    e_per_adu
        Electrons per ADC step at gain 0.
    full_well_e
        Number of electrons at which a pixel saturates.
    read_noise_e, converter_noise_adu
        Noise before and after the amplifier; the two noises add in quadrature.
    pedestal_adu
        Level of a bias frame at offset 0.
    column_pattern_adu, row_pattern_adu
        Standard deviation of the fixed levels of columns and of rows, which are the same in every frame.
    row_noise_adu
        Standard deviation of the part of the row levels that varies from frame to frame.
    short_exposure_adu, short_exposure_s
        Extra level in the shortest exposures, rising from 0 in the first row to this value in the last, and the time
        constant with which the extra level decays exponentially as the exposure increases.
    dark_e_per_s, dark_reference_c, dark_doubling_c
        Median dark current, its reference temperature, and the temperature rise that doubles it.
    hot_fraction, hot_e_per_s
        Fraction of hot pixels, and their median dark current at the reference temperature.
    glow_e_per_s
        Amplifier glow at its brightest point, regardless of temperature.
    prnu
        Relative standard deviation of the pixels' sensitivity.
    vignetting
        Relative loss of light in the corners.
    dust_motes
        Number of dust motes on the sensor's window; each filter has additional ones.
    cosmic_rays_per_cm2_min
        Rate at which charged particles hit the sensor.
    cfa_pattern
        Colours of the upper left 2x2 pixels; None for a monochrome sensor.
    shutter_travel_s
        Time that a mechanical shutter takes to uncover the sensor; None for an electronic shutter, which blocks no
        light.
    """

    model: str
    width: int = Field(ge=16, le=20000, multiple_of=2)
    height: int = Field(ge=16, le=20000, multiple_of=2)
    overscan_columns: int = Field(0, ge=0, multiple_of=2)
    pixel_um: Positive
    bit_depth: int = Field(ge=8, le=16)
    scaled_to_16_bit: bool = True
    e_per_adu: Positive
    full_well_e: Positive
    read_noise_e: Positive
    converter_noise_adu: NotNegative
    pedestal_adu: NotNegative
    column_pattern_adu: NotNegative = 0
    row_pattern_adu: NotNegative = 0
    row_noise_adu: NotNegative = 0
    short_exposure_adu: NotNegative = 0
    short_exposure_s: Positive = 0.1
    dark_e_per_s: NotNegative
    dark_reference_c: Celsius
    dark_doubling_c: Positive
    hot_fraction: Fraction = 0
    hot_e_per_s: NotNegative = 0
    glow_e_per_s: NotNegative = 0
    prnu: Fraction = 0
    vignetting: Fraction = 0
    dust_motes: int = Field(0, ge=0, le=1000)
    cosmic_rays_per_cm2_min: NotNegative = 1.5
    cfa_pattern: Literal["RGGB", "BGGR", "GRBG", "GBRG"] | None = None
    shutter_travel_s: Positive | None = None
    maximum_binning: int = Field(4, ge=1, le=8)
    gain: GainModel | None = None
    offset: OffsetModel | None = None
    readout_modes: tuple[ReadoutMode, ...] = ()

    @model_validator(mode="after")
    def _overscan_leaves_pixels(self) -> Self:
        if self.overscan_columns >= self.width:
            raise ValueError(f"overscan_columns {self.overscan_columns} must be less than width {self.width}")
        return self

    @property
    def active_width(self) -> int:
        """Number of columns that collect light."""
        return self.width - self.overscan_columns

    @property
    def file_scale(self) -> int:
        """Difference between values in files that corresponds to one ADC step."""
        return 1 << (16 - self.bit_depth) if self.scaled_to_16_bit else 1

    @property
    def saturation_adu(self) -> int:
        """Highest value in files."""
        return ((1 << self.bit_depth) - 1) * self.file_scale


class CoolerModel(RigPart):
    """A Peltier cooler.

    Attributes
    ----------
    maximum_delta_c
        Steady-state difference from the ambient temperature at full power.
    time_constant_s
        Time in which the sensor completes 63 % of its change to the steady-state temperature at the current power.
    minimum_setpoint_c
        Lowest setpoint that the driver accepts.
    reading_noise_c
        Standard deviation of a temperature reading.
    """

    maximum_delta_c: Positive
    time_constant_s: Positive
    minimum_setpoint_c: Celsius = -50
    reading_noise_c: NotNegative = 0.02


class MqttLampModel(RigPart):
    """The panel as a lamp on an MQTT broker on this machine, instead of an INDI device.

    Attributes
    ----------
    family, topic
        Firmware of the lamp, and the topic in its settings.
    port
        TCP port of the broker.
    is_stuck
        True if the lamp confirms every command but does not change.
    """

    family: Family
    topic: str = Field(min_length=1, max_length=200)
    port: int = Field(1883, ge=1, le=65535)
    is_stuck: bool = False


class PanelModel(RigPart):
    """A flat panel in front of the telescope.

    Attributes
    ----------
    brightness_maximum
        Highest brightness setting. At 0, the panel is dark except for `glow`.
    full_e_per_s
        Electrons per second that a clear pixel on the axis collects at full brightness.
    curve
        Relative illumination at each brightness setting: linear; setting ** `gamma`; linear in `pwm_steps` steps; or
        saturating as 1 - exp(-setting / `knee`).
    glow
        Illumination at setting 0 while the panel is on, as a fraction of the illumination at full brightness.
    cover_travel_s
        Time that the cover takes to open or close; None for a panel without a cover.
    mqtt
        The lamp on an MQTT broker; None for an INDI device.
    """

    brightness_maximum: int = Field(255, ge=1, le=65535)
    full_e_per_s: Positive
    curve: Literal["linear", "gamma", "pwm", "saturating"] = "linear"
    gamma: Positive = 2.2
    pwm_steps: int = Field(64, ge=2)
    knee: Positive = 0.4
    glow: Fraction = 0
    switch_s: NotNegative = 0.05
    cover_travel_s: Positive | None = None
    mqtt: MqttLampModel | None = None


class FilterModel(RigPart):
    """A filter: its name, and the fraction of the light that it transmits."""

    name: str = Field(min_length=1)
    transmission: Fraction


class WheelModel(RigPart):
    """A filter wheel, which takes `slot_s` seconds to turn by one slot."""

    slot_s: Positive
    filters: tuple[FilterModel, ...] = Field(min_length=1, max_length=16)

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [each.name for each in self.filters]
        if len(set(names)) < len(names):
            raise ValueError(f"filter names must differ, found {', '.join(names)}")
        return self


class RotatorModel(RigPart):
    """A rotator between telescope and camera. It turns the camera by `deg_per_s` degrees per second.

    At angle 0, the vignetting and the dust shadows are those of a rig without a rotator.
    """

    deg_per_s: Positive = 10
    found_deg: float = Field(0, ge=0, lt=360)


class TimingModel(RigPart):
    """Durations of the camera's operations, in seconds."""

    readout_s: NotNegative
    shortest_exposure_s: Positive = 0.000032
    longest_exposure_s: Positive = 3600
    polling_s: Positive = 0.5


class FaultModel(RigPart):
    """Faults that the rig's drivers do not report.

    Attributes
    ----------
    leak_e_per_s
        Illumination through the closed cover when the rig is switched on: electrons per second in a clear pixel,
        averaged over the frame. The leak increases linearly from 0 at one edge to twice the mean at the edge
        `leak_side`.
    leak_doubling_min
        Minutes in which the leak doubles, as at dawn; None for a constant leak.
    flicker_hz, flicker_depth
        Frequency and amplitude (as a fraction of the mean) of a sinusoidal variation of the panel's light.
    line_s
        Time from the start of one row's exposure to the start of the next row's exposure. A rolling shutter turns
        flicker into bands.
    wheel_stuck, gain_ignored, panel_dead
        True if, respectively, the wheel reports that it has turned, the camera reports that its gain has changed, or
        the panel reports that it is lit, although the hardware has done nothing.
    """

    leak_e_per_s: NotNegative = 0
    leak_side: Literal["left", "right", "top", "bottom"] = "left"
    leak_doubling_min: Positive | None = None
    flicker_hz: Positive = 100
    flicker_depth: Fraction = 0
    line_s: Positive = 0.00002
    wheel_stuck: bool = False
    gain_ignored: bool = False
    panel_dead: bool = False


class TwilightModel(RigPart):
    """The twilight sky, at dawn or dusk, in an open telescope.

    Attributes
    ----------
    e_per_s
        Electrons per second in a clear pixel when the rig is switched on.
    doubling_min
        Minutes in which the sky's brightness doubles, at its rate of change when the rig is switched on; negative at
        dusk, when the brightness halves in as many minutes.
    levelling_min
        Minutes in which this rate of change falls to 37 %; None if the rate is constant.
    slope
        Brightness at the right edge minus brightness at the centre, as a fraction of the brightness at the centre.
    stars_per_mpx, faintest_star_e_per_s
        Number of stars per million pixels, and the flux of the faintest star in electrons per second.
    """

    e_per_s: Positive
    doubling_min: float = Field(allow_inf_nan=False)
    levelling_min: Positive | None = None
    slope: Fraction = 0
    stars_per_mpx: NotNegative = 0
    faintest_star_e_per_s: NotNegative = 100

    @model_validator(mode="after")
    def _changes(self) -> Self:
        if self.doubling_min == 0:
            raise ValueError("doubling_min must not be 0")
        return self


class SimulatedRig(RigPart):
    """A camera, a panel and possibly a wheel and a rotator, as described in a rig file.

    Attributes
    ----------
    seed
        Seed for all random properties of this rig: hot pixels, dust, and the noise of the frames.
    frames_before
        Number of frames exposed before the rig was switched on. The numbering of frames continues from this number.
        Because the numbers seed the noise, no noise repeats.
    ambient_c, ambient_drift_c_per_h
        Outside temperature when the rig is switched on, and its rate of change.
    stray_e_per_s
        Electrons per second from stray light while the cover is closed.
    sky_e_per_s
        Electrons per second from the night sky while the cover is open.
    twilight
        Additional light from the twilight sky; None in the middle of the night.
    dslr
        The camera's driver and files, if the camera is a DSLR; available only over INDI.
    faults
        Faults that the drivers do not report.
    """

    title: str
    seed: int = Field(1, ge=0)
    frames_before: int = Field(0, ge=0)
    ambient_c: Celsius = 15
    ambient_drift_c_per_h: float = Field(0, ge=-20, le=20)
    stray_e_per_s: NotNegative = 0
    sky_e_per_s: NotNegative = 3
    twilight: TwilightModel | None = None
    sensor: SensorModel
    cooler: CoolerModel | None = None
    panel: PanelModel
    wheel: WheelModel | None = None
    rotator: RotatorModel | None = None
    timing: TimingModel
    dslr: DslrModel | None = None
    faults: FaultModel = FaultModel()

    def gain_at(self, iso: float) -> float:
        """Return the gain of the sensor at an ISO value of the DSLR, in steps of `GainModel`."""
        if self.dslr is None or self.sensor.gain is None:
            return 0.0
        return self.dslr.amplification_db(iso) / self.sensor.gain.db_per_step


def switched_on_now(rig: SimulatedRig) -> SimulatedRig:
    """Return the rig as if it were switched on now, so that its frames differ from those of every earlier run.

    Unless the rig file sets `frames_before`, it is set to the current time in milliseconds, which increases faster than
    the number of frames from any camera.
    """
    return rig.model_copy(update={"frames_before": rig.frames_before or time.time_ns() // 1_000_000})


def _shipped() -> Traversable:
    return resources.files("coldframe.config") / "rigs"


def shipped_rigs() -> tuple[str, ...]:
    """Return the names of the shipped rigs, in alphabetical order."""
    return tuple(
        sorted(each.name.removesuffix(".toml") for each in _shipped().iterdir() if each.name.endswith(".toml"))
    )


def load_rig(name_or_path: str) -> SimulatedRig:
    """Load a rig by the name of a shipped rig or by the path of a TOML file.

    Parameters
    ----------
    name_or_path
        A name that `shipped_rigs` lists, or a path.

    Raises
    ------
    RigFileError
        If the rig does not exist, or its file cannot be read or has mistakes. The message lists all mistakes.
    """
    if name_or_path in shipped_rigs():
        return _parse((_shipped() / f"{name_or_path}.toml").read_text("utf-8"), name_or_path)
    try:
        text = Path(name_or_path).read_text("utf-8")
    except FileNotFoundError:
        known = ", ".join(shipped_rigs())
        raise RigFileError(f"{name_or_path}: neither a file nor a shipped rig. Shipped rigs: {known}") from None
    except (OSError, ValueError) as error:
        raise RigFileError(f"{name_or_path} cannot be read: {error}") from error
    return _parse(text, name_or_path)


def _parse(text: str, source: str) -> SimulatedRig:
    try:
        return SimulatedRig.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise RigFileError(f"{source}: not TOML: {error}") from error
    except ValidationError as error:
        faults = (f"{source}: {'.'.join(map(str, each['loc'])) or 'rig'}: {each['msg']}" for each in error.errors())
        raise RigFileError("\n".join(faults)) from error
