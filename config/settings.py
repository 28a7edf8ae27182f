"""What coldframe is told: the settings of one rig and the sets of frames to shoot with it.

Every field carries its meaning, bounds and default: the starter file, the error messages and the guide come from them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from coldframe.config.counts import GOOD_PRACTICE, MOST_FRAMES, LightsCount, NoiseGoal, SetCount
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.config.mqtt import MqttSettings
from coldframe.config.mqtt_panel import MqttPanelSettings
from coldframe.config.notify import NotifySettings
from coldframe.config.section import AbsolutePath, Contradiction, ContradictionError, Name, Section, refuse

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

SetKind = Literal[FrameKind.BIAS, FrameKind.DARK, FrameKind.FLAT, FrameKind.DARK_FLAT]


def _ascending(pair: tuple[float, float]) -> tuple[float, float]:
    low, high = pair
    if not low < high:
        raise ValueError("two numbers, the smaller one first")
    return pair


def _different(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names or len(set(names)) < len(names):
        raise ValueError("one or more names, no two alike")
    return names


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


DifferentNames = Annotated[tuple[Name, ...], Field(strict=False), AfterValidator(_different)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Fractions = Annotated[tuple[Fraction, Fraction], Field(strict=False), AfterValidator(_ascending)]
Exposure = Annotated[float, Field(gt=0, le=7200)]
Exposures = Annotated[tuple[Exposure, Exposure], Field(strict=False), AfterValidator(_ascending)]
Gain = Annotated[float, Field(ge=0, le=1_000_000)]
Binning = Annotated[int, Field(ge=1, le=16)]
Setpoint = Annotated[float, Field(ge=-100, le=40)]
Setpoints = Annotated[tuple[Setpoint, ...], Field(strict=False)]
FrameBound = Annotated[int, Field(ge=1, le=MOST_FRAMES)]
Command = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(strict=False, min_length=1)]
Commands = Annotated[tuple[Command, ...], Field(strict=False)]
OneCommand = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(strict=False)]


class ServerSettings(Section):
    """The INDI server that the rig's drivers run under."""

    host: Name = Field(
        default="127.0.0.1",
        description="Name or address of the machine with the INDI server. INDI has no passwords: prefer this machine, "
        "or a tunnel to the other one.",
    )
    port: int = Field(default=7624, ge=1, le=65535, description="TCP port of the INDI server.")
    unix_socket: Annotated[Name | None, BeforeValidator(_empty_is_none)] = Field(
        default="/tmp/indiserver",  # noqa: S108  indiserver's own default, an abstract name
        description="Local socket of the INDI server (its option -u), used instead of TCP where the host is this "
        'machine and the socket answers: frames arrive several times faster. "" means never.',
    )

    @property
    def is_local(self) -> bool:
        """True where the server runs on this machine and its local socket may be tried."""
        return self.host.lower() in LOOPBACK_HOSTS


class CameraSettings(Section):
    """The camera, and the readout settings that calibration frames must share with the lights."""

    device: Name = Field(description="The camera as its INDI driver names it; `coldframe devices` lists the names.")
    gain: Gain | None = Field(
        default=None,
        description="Gain in the driver's own units, as for the lights. Without it the driver's value stays.",
    )
    offset: Gain | None = Field(
        default=None,
        description="Offset (black level) in the driver's own units, as for the lights. "
        "Without it the driver's value stays.",
    )
    binning: Binning = Field(default=1, description="Pixels binned along each axis, as for the lights.")
    readout_mode: Name | None = Field(
        default=None, description="Readout mode, spelt as the driver labels it. Without it the driver's mode stays."
    )
    setpoint_c: Setpoint | None = Field(
        default=None,
        description="Sensor temperature in degrees Celsius, as for the lights. Without it the cooler is left alone "
        "(uncooled cameras).",
    )
    readout_deadline_s: float = Field(
        default=60.0,
        ge=1,
        le=600,
        description="Longest time from the end of an exposure to the whole frame; then the camera counts as stuck.",
    )
    overscan: Literal["none", "row", "smooth"] = Field(
        default="smooth",
        description="What masters of frames with an overscan (BIASSEC in the driver's header) lose: the level of each "
        'line of the overscan, smoothed along the strip or as it is, and the strip itself; "none" leaves both, for '
        "programs that calibrate whole frames.",
    )


class PanelSettings(Section):
    """The flat panel, with or without a cover."""

    device: Name = Field(
        description="The panel as its INDI driver names it; of a light that you switch by hand, or on an MQTT broker, "
        "any name."
    )
    kind: Literal["indi", "mqtt", "manual"] = Field(
        default="indi",
        description='"mqtt" for a light of WLED, Tasmota, ESPHome or zigbee2mqtt, which [panel.mqtt] describes; '
        '"manual" for a light that nothing but your hand can switch: you are asked to, and the camera sees when it is '
        "done. Begin with the light off.",
    )
    mqtt: MqttPanelSettings | None = Field(
        default=None, description='Broker and topic of the light, as a table [panel.mqtt], where `kind` is "mqtt".'
    )
    manual_deadline_s: float = Field(
        default=1800.0, ge=1, le=43200, description="Longest wait for you to switch a light by hand."
    )
    cover_for_flats: Literal["closed", "open"] = Field(
        default="closed",
        description='Where the cover stands during flats, if there is one: "closed" where the lamp sits in the cover '
        '(Flip-Flat and its kin), "open" where a separate panel shines through the open cover.',
    )
    cover_at_end: Literal["closed", "open"] = Field(
        default="closed", description="Where the cover is left at the end of the night; closed keeps dust and dew away."
    )
    settle_s: float = Field(
        default=2.0, ge=0, le=120, description="Wait after switching the light or changing its brightness."
    )
    cover_deadline_s: float = Field(
        default=60.0, ge=1, le=600, description="Longest time that the cover may take to open or close."
    )

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        if self.kind == "mqtt" and self.mqtt is None:
            text = "missing; a panel of this kind has a table [panel.mqtt] with family and topic"
            raise ContradictionError([Contradiction(("mqtt",), text)])
        if self.kind != "mqtt" and self.mqtt is not None:
            text = f'found a table beside kind = "{self.kind}"; allowed: beside kind = "mqtt"'
            raise ContradictionError([Contradiction(("mqtt",), text)])
        return self


class WheelSettings(Section):
    """The filter wheel."""

    device: Name = Field(description="The wheel as its INDI driver names it.")
    names: DifferentNames | None = Field(
        default=None, description="Filter names in slot order, instead of the names that the driver has."
    )
    settle_s: float = Field(default=1.0, ge=0, le=120, description="Wait after a filter has arrived in the beam.")
    turn_deadline_s: float = Field(
        default=60.0, ge=1, le=600, description="Longest time that a change of filter may take."
    )


class CoolingSettings(Section):
    """How the sensor is brought to its setpoint and back. Only used where a setpoint is set."""

    tolerance_c: float = Field(
        default=0.3,
        ge=0.05,
        le=5,
        description="Largest deviation from the setpoint, above or below, at which frames are shot. "
        "Dark current doubles every 6 C or so: 0.3 C is about 3 % of it.",
    )
    dwell_s: float = Field(
        default=60.0,
        ge=0,
        le=3600,
        description="How long the temperature must stay within the tolerance before frames are shot.",
    )
    deadline_s: float = Field(
        default=1200.0,
        ge=1,
        le=14400,
        description="Longest time to reach the setpoint and hold it; after that it counts as out of reach.",
    )
    fallback_c: Setpoints = Field(
        default=(),
        description="Warmer setpoints that will do where one is out of reach, as in a summer night: what was planned "
        "there is then shot at the nearest of them that is reached. Without any it is left out.",
    )
    ramp_c_per_min: float = Field(
        default=5.0,
        gt=0,
        le=1000,
        description="Fastest cooling, in degrees per minute. A high value leaves the pace to the camera.",
    )
    at_end: Literal["warm", "hold", "off"] = Field(
        default="warm",
        description='What becomes of the cooler at the end of the night: "warm" raises the setpoint slowly, then '
        'switches off; "hold" leaves it cold; "off" switches off at once.',
    )
    warm_ramp_c_per_min: float = Field(
        default=3.0,
        gt=0,
        le=1000,
        description="Fastest warming, in degrees per minute; slow warming spares the sensor window dew and strain.",
    )
    warm_to_c: Setpoint = Field(
        default=10.0, description="Sensor temperature at which warming ends and the cooler is switched off."
    )

    @model_validator(mode="after")
    def _check_times(self) -> Self:
        if self.dwell_s >= self.deadline_s:
            text = f"found {self.dwell_s:g}; allowed: less than deadline_s = {self.deadline_s:g}, or it never fits"
            raise ContradictionError([Contradiction(("dwell_s",), text)])
        return self


class FilterFlatSettings(Section):
    """What differs for the flats of one filter; whatever is left out is as in [flats]."""

    target: Fraction | None = Field(default=None, description="As `flats.target`, for this filter.")
    band: Fractions | None = Field(default=None, description="As `flats.band`, for this filter.")
    preferred_exposure_s: Exposures | None = Field(
        default=None, description="As `flats.preferred_exposure_s`, for this filter."
    )
    exposure_limits_s: Exposures | None = Field(
        default=None, description="As `flats.exposure_limits_s`, for this filter."
    )


class FlatSettings(Section):
    """How bright flats shall be and how their exposure is found."""

    source: Literal["panel", "sky"] = Field(
        default="panel",
        description='Where their light comes from: "panel", or "sky" for the twilight sky, which needs a [site]; the '
        "cover is open then and the panel dark.",
    )
    target: Fraction = Field(
        default=0.40,
        description="Level aimed at, as a fraction of the usable range from the bias level up to saturation; "
        "the median of the central region counts, of a colour camera that of its brightest and its faintest colour.",
    )
    band: Fractions = Field(
        default=(0.30, 0.50),
        description="Lowest and highest level of an acceptable flat, as fractions of the same range. "
        "Of a colour camera no colour rises above it, and the faintest may fall to half of the lower end.",
    )
    preferred_exposure_s: Exposures = Field(
        default=(0.5, 3.0),
        description="Exposures that the panel's brightness is chosen for: long enough against flicker and shutter "
        "marks, short enough against dark current.",
    )
    exposure_limits_s: Exposures = Field(
        default=(0.01, 60.0), description="Shortest and longest exposure tried where the brightness cannot help."
    )
    maximum_tests: int = Field(default=12, ge=2, le=100, description="Test frames per set at most.")
    tuning_deadline_s: float = Field(
        default=600.0, ge=1, le=14400, description="Longest time that finding the exposure of one set may take."
    )
    saturation_adu: int | None = Field(
        default=None,
        ge=255,
        le=65535,
        description="Level at which pixels clip, in ADU, where it is known to lie below the full scale of the files.",
    )
    maximum_saturated_fraction: float = Field(
        default=0.001,
        ge=0,
        le=0.5,
        description="Largest fraction of clipped pixels in the central region of an acceptable flat; "
        "hot pixels need a little.",
    )
    pedestal: Literal["auto", "dark-flat", "bias"] = Field(
        default="auto",
        description='What is subtracted from flats: "dark-flat", or "bias", or "auto": dark flats where there are such '
        "sets, unless the first five show that the master bias does as well; then the others are not shot.",
    )
    filters: dict[Name, FilterFlatSettings] = Field(
        default_factory=dict, description="Other values for single filters, as tables [flats.filters.NAME]."
    )

    def for_filter(self, name: str | None) -> Self:
        """Return these settings with the named filter's own values in place."""
        own = self.filters.get(name) if name else None
        return self.model_copy(update=own.model_dump(exclude_none=True)) if own else self

    @model_validator(mode="after")
    def _check_levels(self) -> Self:
        refuse(self._contradictions())
        return self

    def _contradictions(self) -> Iterator[Contradiction]:
        tables: list[tuple[str | None, tuple[str, ...]]] = [
            (None, ()),
            *((name, ("filters", name)) for name in self.filters),
        ]
        for name, where in tables:
            flats = self.for_filter(name)
            low, high = flats.band
            if not low < flats.target < high:
                text = f"found {flats.target:g}; allowed: inside the band, {low:g} to {high:g}"
                yield Contradiction((*where, "target"), text)
            shortest_s, longest_s = flats.exposure_limits_s
            low_s, high_s = flats.preferred_exposure_s
            if low_s < shortest_s or high_s > longest_s:
                limits = f"exposure_limits_s = [{shortest_s:g}, {longest_s:g}]"
                text = f"found [{low_s:g}, {high_s:g}]; allowed: within {limits}"
                yield Contradiction((*where, "preferred_exposure_s"), text)


class StorageSettings(Section):
    """Where frames and masters go."""

    folder: AbsolutePath = Field(
        default=Path("~/coldframe"),
        validate_default=True,
        description="Folder that gets one folder per night; ~ is the home folder. Nothing in it is ever deleted.",
    )


class SiteSettings(Section):
    """Where the telescope stands: tells when the sun rises, without asking anybody."""

    latitude_deg: float = Field(ge=-90, le=90, description="Latitude in degrees, north positive.")
    longitude_deg: float = Field(ge=-180, le=180, description="Longitude in degrees, east positive.")


class LightsSettings(Section):
    """What is shot for a folder of lights (`--lights`) in place of [[sets]]."""

    bias: LightsCount = Field(default=100, description="Frames of each bias set; 0 shoots none.")
    dark: LightsCount = Field(default=30, description="Frames of each dark set; 0 shoots none.")
    flat: LightsCount = Field(default=25, description="Frames of each flat set; 0 shoots none.")
    dark_flat: LightsCount = Field(
        default=25,
        description="Frames of each dark-flat set; 0 shoots none, so that the bias is subtracted from flats.",
    )
    first: Literal["flats", "darks"] = Field(
        default="flats",
        description='What is kept longest when time is short: "flats" with their dark flats, which cannot be shot '
        'tomorrow once the optical train was touched, or "darks", for an uncooled camera. Bias goes first.',
    )
    fresh_flat_days: float = Field(
        default=1.0, ge=0, le=3650, description="A flat of the library is used again up to this age."
    )
    fresh_dark_days: float = Field(
        default=180.0, ge=0, le=3650, description="A dark or bias of the library is used again up to this age."
    )
    camera_names: DifferentNames | None = Field(
        default=None,
        description="Other names that lights may give this camera, where the capture program's differs from the "
        "driver's.",
    )
    quiet_min: float = Field(
        default=30.0,
        ge=1,
        le=600,
        description="With `--watch` the night counts as over when no light came for so many minutes: more than the "
        "longest exposure, and than the longest pause for focusing or a flip.",
    )
    dawn_deg: float = Field(
        default=-12.0,
        ge=-18,
        le=10,
        description="With `--watch` and a [site] the night also counts as over when the rising sun has this altitude.",
    )

    @model_validator(mode="after")
    def _check_pedestal(self) -> Self:
        if self.flat and not (self.bias or self.dark_flat):
            text = "found 0, as is bias; allowed: one of the two, or flats have nothing to subtract"
            raise ContradictionError([Contradiction(("dark_flat",), text)])
        return self


class HookSettings(Section):
    """Commands run before the night and after the safe state, such as those that park the mount and close the roof."""

    before: Commands = Field(
        default=(),
        description="Run in this order before anything moves, without a shell. One that fails stops the night.",
    )
    after: Commands = Field(
        default=(),
        description="Run in this order after the safe state, however the night ended. One that fails is reported.",
    )
    power_cycle: OneCommand = Field(
        default=(),
        description="Switches the camera's power off and on again. Run where neither aborting nor connecting its "
        "driver anew helps, twice in a night at most, without a shell.",
    )
    deadline_s: float = Field(
        default=120.0, ge=1, le=3600, description="Longest time that each command may take; then it is ended."
    )


class AuxiliarySettings(Section):
    """A control of any other INDI device, such as a dew heater with a lamp, that is off while it must be dark."""

    device: Name = Field(description="The device as its INDI driver names it.")
    property: Name = Field(description="The INDI property, such as `DEW_PWM`.")
    element: Name = Field(description="The number or switch in it.")
    off: float = Field(
        default=0.0,
        ge=-1e6,
        le=1e6,
        description="Its value during bias, darks and dark flats; of a switch 0 for off and 1 for on. "
        "At the end of the night it gets its old value back.",
    )


class WatchSettings(Section):
    """Dashboards attached to a run by `coldframe watch`."""

    allow_commands: bool = Field(
        default=False,
        description="Whether they may pause the night, skip sets and abort it. The run's own dashboard always may.",
    )


class FrameSet(Section):
    """Frames shot alike that make one master."""

    kind: SetKind = Field(description="What the frames are.")
    count: SetCount = Field(
        description="Frames to accept. Good practice: bias 100 to 500, darks 20 to 50 (40 to 60 with amp glow), "
        "flats and dark flats 20 to 40. A percentage stops within these bounds, as soon as the measured noise of the "
        "master is low enough.",
    )
    at_least: FrameBound | None = Field(
        default=None, description="With a percentage as `count`: fewest frames, instead of those of good practice."
    )
    at_most: FrameBound | None = Field(
        default=None, description="With a percentage as `count`: most frames, instead of those of good practice."
    )
    exposure_s: Exposure | None = Field(
        default=None,
        description="Exposure of darks, in seconds, as for the lights. The others need none: bias is the camera's "
        "shortest, flats are tuned, dark flats follow their flats.",
    )
    filter: Name | None = Field(
        default=None,
        description="Filter of flats and of their dark flats: needed with a filter wheel, without one a label.",
    )
    gain: Gain | None = Field(default=None, description="Instead of the camera's, for this set.")
    offset: Gain | None = Field(default=None, description="Instead of the camera's, for this set.")
    binning: Binning | None = Field(default=None, description="Instead of the camera's, for this set.")
    readout_mode: Name | None = Field(default=None, description="Instead of the camera's, for this set.")
    setpoint_c: Setpoint | None = Field(default=None, description="Instead of the camera's, for this set.")

    def readout(self, camera: CameraSettings) -> ReadoutSettings:
        """Return the readout settings of this set: its own where given, else the camera's."""
        return ReadoutSettings(
            gain=camera.gain if self.gain is None else self.gain,
            offset=camera.offset if self.offset is None else self.offset,
            binning=camera.binning if self.binning is None else self.binning,
            readout_mode=self.readout_mode or camera.readout_mode,
        )

    def setpoint(self, camera: CameraSettings) -> float | None:
        """Return the sensor temperature of this set in degrees Celsius; None leaves the cooler alone."""
        return camera.setpoint_c if self.setpoint_c is None else self.setpoint_c

    @property
    def bounds(self) -> tuple[int, int]:
        """Fewest and most frames where the count is a goal."""
        least, most = GOOD_PRACTICE[self.kind]
        least = self.at_least or min(least, self.at_most or least)
        return least, self.at_most or max(most, least)

    @property
    def planned_frames(self) -> int:
        """The count; where it is a goal, the frames that are likely to meet it."""
        if isinstance(self.count, int):
            return self.count
        least, most = self.bounds
        return min(max(self.count.expected_frames, least), most)

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        refuse(self._contradictions())
        return self

    def _contradictions(self) -> Iterator[Contradiction]:
        if self.kind is FrameKind.DARK and self.exposure_s is None:
            yield Contradiction(("exposure_s",), "missing; darks need the exposure of the lights, in seconds")
        if self.kind is not FrameKind.DARK and self.exposure_s is not None:
            reason = {
                FrameKind.BIAS: "a bias takes the camera's shortest exposure",
                FrameKind.FLAT: "the exposure of flats is tuned",
                FrameKind.DARK_FLAT: "dark flats take the exposure of their flats",
            }[self.kind]
            yield Contradiction(("exposure_s",), f"found {self.exposure_s:g}; allowed: nothing, {reason}")
        yield from self._bounds_unfit()
        if self.filter is not None and self.kind in (FrameKind.BIAS, FrameKind.DARK):
            text = f'found "{self.filter}"; allowed: nothing, no light falls on a {self.kind} frame'
            yield Contradiction(("filter",), text)

    def _bounds_unfit(self) -> Iterator[Contradiction]:
        for name, bound in (("at_least", self.at_least), ("at_most", self.at_most)):
            if bound is not None and not isinstance(self.count, NoiseGoal):
                text = f'found {bound} beside count = {self.count}; allowed: beside a percentage, such as count = "2 %"'
                yield Contradiction((name,), text)
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            yield Contradiction(("at_least",), f"found {self.at_least}; allowed: up to at_most = {self.at_most}")


def _some(sets: tuple[FrameSet, ...]) -> tuple[FrameSet, ...]:
    if not sets:
        raise ValueError("one or more tables")
    return sets


class Settings(Section):
    """The whole configuration of one rig."""

    server: ServerSettings = Field(default_factory=ServerSettings, description="The INDI server.")
    camera: CameraSettings = Field(description="The camera.")
    panel: PanelSettings | None = Field(default=None, description="The flat panel, where there is one.")
    wheel: WheelSettings | None = Field(default=None, description="The filter wheel, where there is one.")
    cooling: CoolingSettings = Field(default_factory=CoolingSettings, description="Cooling down and warming up.")
    flats: FlatSettings = Field(default_factory=FlatSettings, description="Level and exposure of flats.")
    storage: StorageSettings = Field(default_factory=StorageSettings, description="Where files go.")
    site: SiteSettings | None = Field(default=None, description="Where the telescope stands.")
    lights: LightsSettings = Field(default_factory=LightsSettings, description="What is shot for lights.")
    auxiliaries: tuple[AuxiliarySettings, ...] = Field(
        default=(), strict=False, description="What else is off while it must be dark, as tables [[auxiliaries]]."
    )
    hooks: HookSettings = Field(default_factory=HookSettings, description="Commands before and after the night.")
    watch: WatchSettings = Field(default_factory=WatchSettings, description="Who may steer a night under way.")
    mqtt: MqttSettings | None = Field(default=None, description="Telemetry over MQTT, where it is wanted.")
    notify: NotifySettings | None = Field(default=None, description="Messages about a night, where they are wanted.")
    sets: Annotated[tuple[FrameSet, ...], AfterValidator(_some)] = Field(
        default=(), strict=False, description="The sets to shoot, as tables [[sets]]; not needed with --lights."
    )

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        refuse(self._contradictions())
        return self

    def _contradictions(self) -> Iterator[Contradiction]:
        yield from self._repeated_sets()
        if self.flats.source == "sky" and self.site is None:
            text = 'found "sky" without a [site]; allowed: with one, as the sun tells when twilight is'
            yield Contradiction(("flats", "source"), text)
        for position, frame_set in enumerate(self.sets):
            where = ("sets", position)
            if frame_set.kind in (FrameKind.FLAT, FrameKind.DARK_FLAT):
                yield from self._filter_unfit(frame_set, where)
            if frame_set.kind is FrameKind.FLAT:
                yield from self._flats_unfit(frame_set, where)
            if frame_set.kind is FrameKind.DARK_FLAT and not self._has_alike(frame_set, FrameKind.FLAT):
                text = f"found a {_titled(frame_set)} without its flats; allowed: beside a flat set shot alike"
                yield Contradiction((*where, "kind"), text)
        yield from self._overrides_unused()

    def _repeated_sets(self) -> Iterator[Contradiction]:
        first: dict[object, int] = {}
        for position, frame_set in enumerate(self.sets):
            shot_like = (frame_set.kind, frame_set.exposure_s, frame_set.filter, *self._conditions(frame_set))
            if shot_like in first:
                text = (
                    f"found the same {_titled(frame_set)} set as number {first[shot_like] + 1}; allowed: each set once"
                )
                yield Contradiction(("sets", position), text)
            first.setdefault(shot_like, position)

    def _filter_unfit(self, frame_set: FrameSet, where: tuple[str | int, ...]) -> Iterator[Contradiction]:
        if self.wheel is None:
            return
        if frame_set.filter is None:
            yield Contradiction(
                (*where, "filter"), f"missing; with a filter wheel each {frame_set.kind} set names its filter"
            )
        elif self.wheel.names is not None and frame_set.filter not in self.wheel.names:
            text = f'found "{frame_set.filter}"; allowed: {", ".join(self.wheel.names)} (wheel.names)'
            yield Contradiction((*where, "filter"), text)

    def _flats_unfit(self, flat: FrameSet, where: tuple[str | int, ...]) -> Iterator[Contradiction]:
        if self.flats.source == "panel" and self.panel is None:
            yield Contradiction(
                (*where, "kind"), 'found "flat" without a panel; allowed: with a [panel] table that names its device'
            )
        readout = flat.readout(self.camera)
        has_bias = any(each.kind is FrameKind.BIAS and each.readout(self.camera) == readout for each in self.sets)
        has_dark_flat = self._has_alike(flat, FrameKind.DARK_FLAT)
        found, allowed = {
            "auto": (has_bias or has_dark_flat, "a dark-flat set shot alike, or a bias set of the same readout"),
            "dark-flat": (has_dark_flat, 'a dark-flat set shot alike, as flats.pedestal = "dark-flat"'),
            "bias": (has_bias, 'a bias set of the same readout, as flats.pedestal = "bias"'),
        }[self.flats.pedestal]
        if not found:
            text = f"found a {_titled(flat)} with nothing to subtract from it; allowed: beside {allowed}"
            yield Contradiction((*where, "kind"), text)

    def _overrides_unused(self) -> Iterator[Contradiction]:
        if not self.sets:
            return
        names = {each.filter for each in self.sets} | set((self.wheel and self.wheel.names) or ())
        for name in self.flats.filters:
            if name not in names:
                known = ", ".join(sorted(each for each in names if each)) or "none, as no set names a filter"
                yield Contradiction(("flats", "filters", name), f"found a filter that no set shoots; allowed: {known}")

    def _has_alike(self, frame_set: FrameSet, kind: FrameKind) -> bool:
        wanted = (kind, frame_set.filter, *self._conditions(frame_set))
        return any((each.kind, each.filter, *self._conditions(each)) == wanted for each in self.sets)

    def _conditions(self, frame_set: FrameSet) -> tuple[ReadoutSettings, float | None]:
        return frame_set.readout(self.camera), frame_set.setpoint(self.camera)


def _titled(frame_set: FrameSet) -> str:
    exposure = "" if frame_set.exposure_s is None else f"{frame_set.exposure_s:g} s"
    return " ".join(part for part in (frame_set.kind.value, frame_set.filter, exposure) if part)
