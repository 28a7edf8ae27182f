"""The tables [[sets]] and [lights]: the frames to shoot."""

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
    Setpoint,
)

SetKind = Literal[FrameKind.BIAS, FrameKind.DARK, FrameKind.FLAT, FrameKind.DARK_FLAT]


FrameBound = Annotated[int, Field(ge=1, le=MOST_FRAMES)]


class LightsSettings(Section):
    """The frames to shoot for a folder of lights (`--lights`), instead of [[sets]]."""

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


class FrameSet(Section):
    """Frames that are shot alike and make one master."""

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
        """Return the readout settings of this set: its own if given, else the camera's."""
        return ReadoutSettings(
            gain=camera.gain if self.gain is None else self.gain,
            offset=camera.offset if self.offset is None else self.offset,
            binning=camera.binning if self.binning is None else self.binning,
            readout_mode=self.readout_mode or camera.readout_mode,
        )

    def setpoint(self, camera: CameraSettings) -> float | None:
        """Return the setpoint of this set in degrees Celsius; None leaves the cooler alone."""
        return camera.setpoint_c if self.setpoint_c is None else self.setpoint_c

    @property
    def bounds(self) -> tuple[int, int]:
        """Fewest and most frames if the count is a goal."""
        least, most = GOOD_PRACTICE[self.kind]
        least = self.at_least or min(least, self.at_most or least)
        return least, self.at_most or max(most, least)

    @property
    def planned_frames(self) -> int:
        """The count; if it is a goal, the number of frames that will probably reach it."""
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
