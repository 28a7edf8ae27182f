"""Define the kinds of events in a night. The journal, dashboard, telemetry and report use only these events."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, TypeVar

from coldframe.calibration.masters.flat_pedestal import PedestalVerdict
from coldframe.calibration.measuring.statistics import FrameStatistics
from coldframe.capture.events.values import (
    UNKNOWN_ORIGIN,
    AbortedBy,
    ExposurePurpose,
    NightOutcome,
    Origin,
    PlannedStep,
    Severity,
    SkippedBy,
    StepOutcome,
    Topic,
)
from coldframe.capture.steps import TuneStep
from coldframe.capture.tuner.panel_curve import PanelCurve
from coldframe.capture.tuner.tuner import Tuned
from coldframe.config.frames import FrameKind
from coldframe.devices.flat_panel import CoverState


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened during a night, at the time `at` in UTC.

    Attributes
    ----------
    wire_name
        Name of the event in the journal, on the watch socket and over MQTT; empty if the event is not sent.
        The name is part of these formats, so it stays the same when the class is renamed.
    """

    wire_name: ClassVar[str] = ""
    at: datetime


EVENT_KINDS: dict[str, type[Event]] = {}
"""Every kind of event that the journal, the watch socket and MQTT carry, by wire name."""
E = TypeVar("E", bound=Event)


def on_the_wire(name: str) -> Callable[[type[E]], type[E]]:
    """Return a decorator that registers a kind of event under its wire name."""

    def register(kind: type[E]) -> type[E]:
        assert name not in EVENT_KINDS, f"two kinds of event have the name {name!r}"
        kind.wire_name = name
        EVENT_KINDS[name] = kind
        return kind

    return register


@on_the_wire("night-started")
@dataclass(frozen=True, slots=True)
class NightStarted(Event):
    """The plan is complete and the rig is connected.

    Attributes
    ----------
    camera, panel, wheel
        Names of the devices; None for a device that the rig does not have.
    width, height
        Size of a full frame in pixels, without binning.
    is_resumed
        True if the run resumes a night that an earlier run did not complete.
    origin
        The rig of the run, and whether the run shoots all sets.
    """

    folder: str
    camera: str
    panel: str | None
    wheel: str | None
    width: int
    height: int
    steps: tuple[PlannedStep, ...]
    is_resumed: bool = False
    origin: Origin = UNKNOWN_ORIGIN


@on_the_wire("night-ended")
@dataclass(frozen=True, slots=True)
class NightEnded(Event):
    """The night has ended. Only hook events may follow.

    Attributes
    ----------
    summary
        Text for display: how the night went, and whether the rig is safe.
    rig_is_safe
        True if the rig reached the safe state; None if unknown.
    result
        The first part of the summary: how the night went, without the state of the rig.
    not_safe
        One sentence for each device that could not be brought to the safe state.
    aborted_by
        Cause of an abort; None for any other outcome.
    still_cold_c
        Sensor temperature, degrees Celsius, if the cooler is off and the sensor has not warmed up yet; otherwise None.
    """

    outcome: NightOutcome
    summary: str
    rig_is_safe: bool | None = None
    result: str = ""
    not_safe: tuple[str, ...] = ()
    aborted_by: AbortedBy | None = None
    still_cold_c: float | None = None


@on_the_wire("night-paused")
@dataclass(frozen=True, slots=True)
class NightPaused(Event):
    """The user paused the night. The current exposure is completed, but no other exposure begins during the pause."""


@on_the_wire("night-resumed")
@dataclass(frozen=True, slots=True)
class NightResumed(Event):
    """The user resumed the night."""


@on_the_wire("step-started")
@dataclass(frozen=True, slots=True)
class StepStarted(Event):
    """A step began."""

    step: int


@on_the_wire("step-ended")
@dataclass(frozen=True, slots=True)
class StepEnded(Event):
    """A step ended.

    Attributes
    ----------
    reason
        Text for display: why the step failed or was skipped; empty if it was done.
    skipped_by
        Who or what caused the step to be skipped; None for any other outcome.
    """

    step: int
    outcome: StepOutcome
    reason: str = ""
    skipped_by: SkippedBy | None = None


@on_the_wire("set-resized")
@dataclass(frozen=True, slots=True)
class SetResized(Event):
    """The number of frames in a set changed to fit the remaining time, to meet the noise goal, or on request.

    Attributes
    ----------
    count
        New total number of frames to accept; 0 if the set is skipped.
    estimate_s
        Expected wall time of the step, seconds.
    reason
        Text for display.
    """

    step: int
    count: int
    estimate_s: float
    reason: str


@on_the_wire("hook-ended")
@dataclass(frozen=True, slots=True)
class HookEnded(Event):
    """A hook, which is a command that runs before or after the night, has ended.

    Attributes
    ----------
    command
        Command line of the hook.
    fault
        Text for display: why the command failed; empty if it succeeded.
    output
        End of the command's output.
    """

    command: str
    fault: str
    output: str


@on_the_wire("temperature-read")
@dataclass(frozen=True, slots=True)
class TemperatureRead(Event):
    """The sensor temperature was read, in degrees Celsius. Values that the driver does not report are None."""

    sensor_c: float | None
    setpoint_c: float | None
    power_percent: float | None


@on_the_wire("cooling-progress")
@dataclass(frozen=True, slots=True)
class CoolingProgress(Event):
    """A cool-down made progress; `verdict` is text for display."""

    verdict: str


@on_the_wire("panel-changed")
@dataclass(frozen=True, slots=True)
class PanelChanged(Event):
    """The state of the panel's lamp or of the cover changed."""

    lit: bool
    brightness: int | None
    cover: CoverState | None


@on_the_wire("filter-changed")
@dataclass(frozen=True, slots=True)
class FilterChanged(Event):
    """The filter in the light path changed."""

    filter: str


@on_the_wire("exposure-started")
@dataclass(frozen=True, slots=True)
class ExposureStarted(Event):
    """An exposure began."""

    step: int
    kind: FrameKind
    exposure_s: float
    purpose: ExposurePurpose = ExposurePurpose.FRAME


@on_the_wire("flat-tested")
@dataclass(frozen=True, slots=True)
class FlatTested(Event):
    """The flat tuner measured a test frame.

    Attributes
    ----------
    level_adu, bias_adu
        Median of the central region (in the brightest channel of a colour camera), and the bias level that it includes.
    target_adu, low_adu, high_adu
        Target level and limits of the allowed band, including the bias level.
    verdict
        Text for display: the decision of the tuner.
    """

    step: int
    filter: str | None
    exposure_s: float
    brightness: int | None
    level_adu: float
    bias_adu: float
    target_adu: float
    low_adu: float
    high_adu: float
    saturated_fraction: float
    verdict: str


@on_the_wire("flat-tuned")
@dataclass(frozen=True, slots=True)
class FlatTuned(Event):
    """The tuner found an exposure time; `full_scale_adu` is the saturation level on which the target band is based."""

    step: int
    filter: str | None
    exposure_s: float
    brightness: int | None
    tests: int
    full_scale_adu: float


@on_the_wire("tuning-kept")
@dataclass(frozen=True, slots=True)
class TuningKept(Event):
    """The complete result of a tuning, for a run that resumes this night. No other file contains this result.

    Attributes
    ----------
    step
        The tuning step.
    curve
        Brightness curve of the panel after this tuning.
    """

    step: TuneStep
    tuned: Tuned
    curve: PanelCurve


@on_the_wire("pedestal-decided")
@dataclass(frozen=True, slots=True)
class PedestalDecided(Event):
    """Dark flats were compared with the master bias to decide which of the two is subtracted from the flats.

    Attributes
    ----------
    step, count
        Number of the step that shoots the dark flats, and the number of frames that this step will accept.
    filter, exposure_s
        Filter and exposure time of the flats.
    verdict
        Result of the comparison.
    """

    step: int
    count: int
    filter: str | None
    exposure_s: float
    verdict: PedestalVerdict


@on_the_wire("camera-measured")
@dataclass(frozen=True, slots=True)
class CameraMeasured(Event):
    """The characteristics of the camera at one setting were measured, using frames from this night and earlier nights.

    Attributes
    ----------
    path
        Path of the record that this night added.
    gain
        Gain setting, in the units of the driver.
    largest_deviation
        Largest relative deviation from linearity.
    curve
        Photon transfer curve: pairs of signal and noise, both in ADU.
    dark_current
        Pairs of sensor temperature (degrees Celsius) and dark current (electrons per second per pixel).
    """

    camera: str
    path: str
    gain: float | None
    e_per_adu: float | None
    read_noise_e: float | None
    saturation_adu: float | None
    full_well_e: float | None
    largest_deviation: float | None
    curve: tuple[tuple[float, float], ...]
    dark_current: tuple[tuple[float, float], ...]


@on_the_wire("frame-accepted")
@dataclass(frozen=True, slots=True)
class FrameAccepted(Event):
    """A frame is safely on disk and counts towards its set.

    Attributes
    ----------
    index
        Number of the frame in its set, from 1.
    is_taken_over
        True if an earlier run of the night shot the frame.
    """

    step: int
    index: int
    path: str
    exposure_s: float
    sensor_c: float | None
    statistics: FrameStatistics
    is_taken_over: bool = False


@on_the_wire("frame-rejected")
@dataclass(frozen=True, slots=True)
class FrameRejected(Event):
    """A frame was moved to quarantine; `path` is its new path. The night shoots a replacement."""

    step: int
    path: str
    reason: str


@on_the_wire("master-grew")
@dataclass(frozen=True, slots=True)
class MasterGrew(Event):
    """A frame was added to the master that is being built from the set.

    Attributes
    ----------
    frames
        Number of frames in the master so far.
    noise_adu
        Median over all pixels of the standard error of the master, ADU; None for a single frame.
    """

    step: int
    frames: int
    noise_adu: float | None


@on_the_wire("master-written")
@dataclass(frozen=True, slots=True)
class MasterWritten(Event):
    """A master frame was written durably. `level` and `noise` are in ADU; for flats, relative to a mean of 1."""

    step: int
    path: str
    frames: int
    level: float
    noise: float
    rejected_fraction: float


@on_the_wire("notice")
@dataclass(frozen=True, slots=True)
class Notice(Event):
    """A message for the user.

    Attributes
    ----------
    will_retry
        True if the notice reports a failure and the same action will be retried.
    topic
        Subject of the notice; None for most notices.
    """

    severity: Severity
    text: str
    will_retry: bool = False
    topic: Topic | None = None
