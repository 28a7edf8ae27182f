"""The [[sets]] and [lights] tables: the frames to shoot."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from coldframe.config.counts import GOOD_PRACTICE, MOST_FRAMES, LightsCount, NoiseGoal, SetCount
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.config.section import Contradiction, ContradictionError, Name, Section, refuse
from coldframe.config.tables.rig import CameraSettings
from coldframe.config.tables.values import (
    Binning,
    DifferentNames,
    Exposure,
    Gain,
    RotatorAngle,
    Setpoint,
)

SetKind = Literal[FrameKind.BIAS, FrameKind.DARK, FrameKind.FLAT, FrameKind.DARK_FLAT]


FrameBound = Annotated[int, Field(ge=1, le=MOST_FRAMES)]


class LightsSettings(Section):
    """The frames to shoot for a folder of lights (`--lights`), instead of [[sets]]."""

    bias: LightsCount = Field(default=100, description="Frames in each bias set; 0 for none.")
    dark: LightsCount = Field(default=30, description="Frames in each dark set; 0 for none.")
    flat: LightsCount = Field(default=25, description="Frames in each flat set; 0 for none.")
    dark_flat: LightsCount = Field(
        default=25,
        description="Frames in each dark-flat set; 0 for none, so that the bias is subtracted from flats.",
    )
    first: Literal["flats", "darks"] = Field(
        default="flats",
        description='Sets to keep longest if time is short: "flats" with their dark flats, which cannot be shot '
        'tomorrow if the optical train changes, or "darks", for an uncooled camera. Bias sets are skipped first.',
    )
    fresh_flat_days: float = Field(
        default=1.0, ge=0, le=3650, description="Maximum age at which a flat from the library is reused."
    )
    fresh_dark_days: float = Field(
        default=180.0, ge=0, le=3650, description="Maximum age at which a dark or bias from the library is reused."
    )
    trust_undated: bool = Field(
        default=False,
        description="Whether masters from the library count as fresh if they or the lights lack a date in the header.",
    )
    camera_names: DifferentNames | None = Field(
        default=None,
        description="Other names of this camera in lights and masters, if the capture program's name differs from the "
        "driver's.",
    )
    quiet_min: float = Field(
        default=30.0,
        ge=1,
        le=600,
        description="With `--watch`, the lights count as finished if none has arrived for this many minutes. Choose "
        "a time longer than the longest exposure and the longest pause for focusing or a meridian flip.",
    )
    dawn_deg: float = Field(
        default=-12.0,
        ge=-18,
        le=10,
        description="With `--watch` and a [site], the lights also count as finished when the rising sun reaches "
        "this altitude.",
    )

    @model_validator(mode="after")
    def _check_pedestal(self) -> Self:
        if self.flat and not (self.bias or self.dark_flat):
            text = "found 0, as for bias; allowed: 0 for one of the two, because one must be subtracted from flats"
            raise ContradictionError([Contradiction(("dark_flat",), text)])
        return self


class FrameSet(Section):
    """Frames that are shot with the same settings and combined into one master."""

    kind: SetKind = Field(description="Kind of the frames.")
    count: SetCount = Field(
        description="Number of good frames to shoot. Good practice: bias 100 to 500, darks 20 to 50 (40 to 60 with "
        "amplifier glow), flats and dark flats 20 to 40. With a percentage, the set ends within these bounds as soon "
        "as the measured noise of the master is low enough.",
    )
    at_least: FrameBound | None = Field(
        default=None,
        description="Minimum number of frames if `count` is a percentage; replaces the lower limit of good practice.",
    )
    at_most: FrameBound | None = Field(
        default=None,
        description="Maximum number of frames if `count` is a percentage; replaces the upper limit of good practice.",
    )
    exposure_s: Exposure | None = Field(
        default=None,
        description="Exposure of darks, in seconds, as for the lights. Leave it out for other kinds: bias frames use "
        "the camera's shortest exposure, the exposure of flats is tuned, and dark flats use that of their flats.",
    )
    filter: Name | None = Field(
        default=None,
        description="Filter of flats and their dark flats: required with a filter wheel; without one, only a label.",
    )
    rotator_deg: RotatorAngle | None = Field(
        default=None,
        description="Rotator angle of flats and their dark flats, in degrees, as the rotator's driver counts it; only "
        "with a [rotator].",
    )
    gain: Gain | None = Field(default=None, description="Overrides `camera.gain` for this set.")
    offset: Gain | None = Field(default=None, description="Overrides `camera.offset` for this set.")
    binning: Binning | None = Field(default=None, description="Overrides `camera.binning` for this set.")
    readout_mode: Name | None = Field(default=None, description="Overrides `camera.readout_mode` for this set.")
    setpoint_c: Setpoint | None = Field(default=None, description="Overrides `camera.setpoint_c` for this set.")

    def readout(self, camera: CameraSettings) -> ReadoutSettings:
        """Return the readout settings of this set: its own where they are set, otherwise those of the camera."""
        return ReadoutSettings(
            gain=camera.gain if self.gain is None else self.gain,
            offset=camera.offset if self.offset is None else self.offset,
            binning=camera.binning if self.binning is None else self.binning,
            readout_mode=self.readout_mode or camera.readout_mode,
        )

    def setpoint(self, camera: CameraSettings) -> float | None:
        """Return the setpoint of this set in degrees Celsius; None if the cooler is to be left unchanged."""
        return camera.setpoint_c if self.setpoint_c is None else self.setpoint_c

    @property
    def bounds(self) -> tuple[int, int]:
        """Minimum and maximum number of frames if the count is a noise goal."""
        least, most = GOOD_PRACTICE[self.kind]
        least = self.at_least or min(least, self.at_most or least)
        return least, self.at_most or max(most, least)

    @property
    def planned_frames(self) -> int:
        """The count; for a noise goal, the number of frames that will probably be needed to reach it."""
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
                FrameKind.BIAS: "bias frames use the camera's shortest exposure",
                FrameKind.FLAT: "the exposure of flats is tuned",
                FrameKind.DARK_FLAT: "dark flats use the exposure of their flats",
            }[self.kind]
            yield Contradiction(("exposure_s",), f"found {self.exposure_s:g}; allowed: none, because {reason}")
        yield from self._bounds_unfit()
        if self.kind not in (FrameKind.BIAS, FrameKind.DARK):
            return
        if self.filter is not None:
            text = f'found "{self.filter}"; allowed: none, because no light reaches a {self.kind} frame'
            yield Contradiction(("filter",), text)
        if self.rotator_deg is not None:
            text = f"found {self.rotator_deg:g}; allowed: none, because no light reaches a {self.kind} frame"
            yield Contradiction(("rotator_deg",), text)

    def _bounds_unfit(self) -> Iterator[Contradiction]:
        for name, bound in (("at_least", self.at_least), ("at_most", self.at_most)):
            if bound is not None and not isinstance(self.count, NoiseGoal):
                text = f'found {bound} with count = {self.count}; allowed: only with a percentage, as in count = "2 %"'
                yield Contradiction((name,), text)
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            yield Contradiction(("at_least",), f"found {self.at_least}; allowed: up to at_most = {self.at_most}")
