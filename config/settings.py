"""The complete configuration of one rig: all tables, and the checks between them."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.config.section import Contradiction, Section, refuse
from coldframe.config.tables.cooling import CoolingSettings
from coldframe.config.tables.flats import FlatSettings
from coldframe.config.tables.mqtt import MqttSettings
from coldframe.config.tables.night import HookSettings, SiteSettings, StorageSettings, VerifySettings, WatchSettings
from coldframe.config.tables.notify import NotifySettings
from coldframe.config.tables.rig import (
    AuxiliarySettings,
    CameraSettings,
    CoverSettings,
    PanelSettings,
    RotatorSettings,
    ServerSettings,
    WheelSettings,
)
from coldframe.config.tables.sets import FrameSet, LightsSettings


def _some(sets: tuple[FrameSet, ...]) -> tuple[FrameSet, ...]:
    if not sets:
        raise ValueError("one or more tables")
    return sets


class Settings(Section):
    """The complete configuration of one rig."""

    server: ServerSettings = Field(default_factory=ServerSettings, description="The INDI server.")
    camera: CameraSettings = Field(description="The camera.")
    panel: PanelSettings | None = Field(default=None, description="The flat panel, if there is one.")
    cover: CoverSettings | None = Field(default=None, description="A cover that is not part of the panel, if any.")
    wheel: WheelSettings | None = Field(default=None, description="The filter wheel, if there is one.")
    rotator: RotatorSettings | None = Field(
        default=None, description="The rotator, if coldframe may turn it to the angles of the flats."
    )
    cooling: CoolingSettings = Field(default_factory=CoolingSettings, description="Cooling down and warming up.")
    flats: FlatSettings = Field(default_factory=FlatSettings, description="Level and exposure of flats.")
    storage: StorageSettings = Field(default_factory=StorageSettings, description="Where files are stored.")
    site: SiteSettings | None = Field(default=None, description="Position of the telescope.")
    lights: LightsSettings = Field(
        default_factory=LightsSettings, description="Frames to shoot for a folder of lights."
    )
    auxiliaries: tuple[AuxiliarySettings, ...] = Field(
        default=(),
        strict=False,
        description="Other devices to switch off for frames that need darkness, as [[auxiliaries]] tables.",
    )
    hooks: HookSettings = Field(default_factory=HookSettings, description="Commands before and after the night.")
    watch: WatchSettings = Field(
        default_factory=WatchSettings, description="The actions that attached dashboards may take."
    )
    verify: VerifySettings = Field(default_factory=VerifySettings, description="Diagnosis of the night's lights.")
    mqtt: MqttSettings | None = Field(default=None, description="Telemetry over MQTT, if configured.")
    notify: NotifySettings | None = Field(default=None, description="Messages about a night, if configured.")
    sets: Annotated[tuple[FrameSet, ...], AfterValidator(_some)] = Field(
        default=(), strict=False, description="The sets to shoot, as [[sets]] tables; not needed with --lights."
    )

    @property
    def camera_names(self) -> tuple[str, ...]:
        """All names of the camera, the driver's name first."""
        return (self.camera.device, *(self.lights.camera_names or ()))

    @property
    def cover_for_flats(self) -> Literal["closed", "open"]:
        """Position of the cover during flats. A separate cover is open, because the lamp is in front of it."""
        return self.panel.cover_for_flats if self.cover is None and self.panel is not None else "open"

    @property
    def cover_at_end(self) -> Literal["closed", "open"]:
        """Position of the cover at the end of the night."""
        if self.cover is not None:
            return self.cover.at_end
        return self.panel.cover_at_end if self.panel is not None else "closed"

    @property
    def cover_deadline_s(self) -> float:
        """Maximum time for the cover to open or close; 0 if there is neither a cover nor a panel."""
        if self.cover is not None:
            return self.cover.deadline_s
        return self.panel.cover_deadline_s if self.panel is not None else 0.0

    @property
    def rotator_tolerance_deg(self) -> float:
        """Maximum difference between the rotator's angle and a set's angle; 0 without a rotator."""
        return 0.0 if self.rotator is None else self.rotator.tolerance_deg

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        refuse(self._contradictions())
        return self

    def _contradictions(self) -> Iterator[Contradiction]:
        yield from self._repeated_sets()
        if self.cover is not None and self.panel is not None and self.cover.device == self.panel.device:
            text = f'found "{self.cover.device}", which is the panel; allowed: a different device, or no [cover] table'
            yield Contradiction(("cover", "device"), text)
        if self.flats.source == "sky" and self.site is None:
            text = 'found "sky" without a [site]; allowed: with a [site], from which twilight is computed'
            yield Contradiction(("flats", "source"), text)
        for position, frame_set in enumerate(self.sets):
            where = ("sets", position)
            if frame_set.kind in (FrameKind.FLAT, FrameKind.DARK_FLAT):
                yield from self._filter_unfit(frame_set, where)
                yield from self._angle_unfit(frame_set, where)
            if frame_set.kind is FrameKind.FLAT:
                yield from self._flats_unfit(frame_set, where)
            if frame_set.kind is FrameKind.DARK_FLAT and not self._has_alike(frame_set, FrameKind.FLAT):
                text = f"found a {_titled(frame_set)} set without its flats; allowed: with a matching flat set"
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
                (*where, "filter"), f"missing; with a filter wheel, each {frame_set.kind} set needs its filter"
            )
        elif self.wheel.names is not None and frame_set.filter not in self.wheel.names:
            text = f'found "{frame_set.filter}"; allowed: {", ".join(self.wheel.names)} (wheel.names)'
            yield Contradiction((*where, "filter"), text)

    def _angle_unfit(self, frame_set: FrameSet, where: tuple[str | int, ...]) -> Iterator[Contradiction]:
        if frame_set.rotator_deg is not None and self.rotator is None:
            text = f"found {frame_set.rotator_deg:g} without a rotator; allowed: with a [rotator] table"
            yield Contradiction((*where, "rotator_deg"), text)
        if frame_set.rotator_deg is None and any(each.rotator_deg is not None for each in self.sets):
            text = f"missing; if one flat set has a rotator angle, each {frame_set.kind} set needs one"
            yield Contradiction((*where, "rotator_deg"), text)

    def _flats_unfit(self, flat: FrameSet, where: tuple[str | int, ...]) -> Iterator[Contradiction]:
        if self.flats.source == "panel" and self.panel is None:
            yield Contradiction(
                (*where, "kind"), 'found "flat" without a panel; allowed: with a [panel] table that names its device'
            )
        readout = flat.readout(self.camera)
        has_bias = any(each.kind is FrameKind.BIAS and each.readout(self.camera) == readout for each in self.sets)
        has_dark_flat = self._has_alike(flat, FrameKind.DARK_FLAT)
        found, allowed = {
            "auto": (
                has_bias or has_dark_flat,
                "a matching dark-flat set, or a bias set with the same readout settings",
            ),
            "dark-flat": (has_dark_flat, 'a matching dark-flat set, for flats.pedestal = "dark-flat"'),
            "bias": (has_bias, 'a bias set with the same readout settings, for flats.pedestal = "bias"'),
        }[self.flats.pedestal]
        if not found:
            text = f"found a {_titled(flat)} set with nothing to subtract from it; allowed: with {allowed}"
            yield Contradiction((*where, "kind"), text)

    def _overrides_unused(self) -> Iterator[Contradiction]:
        if not self.sets:
            return
        names = {each.filter for each in self.sets} | set((self.wheel and self.wheel.names) or ())
        for name in self.flats.filters:
            if name not in names:
                known = ", ".join(sorted(each for each in names if each)) or "none, because no set has a filter"
                yield Contradiction(("flats", "filters", name), f"found a filter that no set uses; allowed: {known}")

    def _has_alike(self, frame_set: FrameSet, kind: FrameKind) -> bool:
        wanted = (kind, frame_set.filter, *self._conditions(frame_set))
        return any((each.kind, each.filter, *self._conditions(each)) == wanted for each in self.sets)

    def _conditions(self, frame_set: FrameSet) -> tuple[ReadoutSettings, float | None, float | None]:
        return frame_set.readout(self.camera), frame_set.setpoint(self.camera), frame_set.rotator_deg


def _titled(frame_set: FrameSet) -> str:
    exposure = "" if frame_set.exposure_s is None else f"{frame_set.exposure_s:g} s"
    return " ".join(part for part in (frame_set.kind.value, frame_set.filter, exposure) if part)
