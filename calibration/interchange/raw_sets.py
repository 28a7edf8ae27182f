"""Sets of raw frames of an export, by the settings that programs must keep apart."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from coldframe.calibration.files.image_file import PLAIN_SUFFIXES
from coldframe.calibration.files.naming import angle_text, name_part
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.config.angles import within_a_turn
from coldframe.config.frames import FrameKind

KINDS = frozenset({FrameKind.BIAS, FrameKind.DARK, FrameKind.FLAT, FrameKind.DARK_FLAT})
"""Kinds of frames that are exported."""


@dataclass(frozen=True, slots=True)
class RawFrame:
    """A raw frame.

    Attributes
    ----------
    path
        The file.
    setup
        Its setup.
    night
        Name of its night, because the names of frames repeat from night to night; empty if it has none.
    """

    path: Path
    setup: FrameSetup
    night: str = ""

    @property
    def name(self) -> str:
        """The name of the exported frame: flat_L_0001_2026-11-22.fits."""
        if not self.night:
            return self.path.name
        stem, suffix = self.path.stem, self.path.suffix
        if Path(stem).suffix.lower() in PLAIN_SUFFIXES:  # .fits.gz and .fits.fz
            stem, suffix = Path(stem).stem, Path(stem).suffix + suffix
        return f"{stem}_{name_part(self.night)}{suffix}"


@dataclass(frozen=True, slots=True)
class RawSet:
    """Raw frames of one kind and setting."""

    frames: tuple[RawFrame, ...]

    @property
    def setup(self) -> FrameSetup:
        """The setup of the first frame."""
        return self.frames[0].setup


Sets = Mapping[Path, RawSet]
"""Sets of raw frames by their first frame."""


def raw_sets(frames: Mapping[Path, FrameSetup], nights: Mapping[Path, str] | None = None) -> Sets:
    """Return the sets of bias frames, darks, flats and dark flats among raw frames, by the first frame of each.

    Parameters
    ----------
    frames
        Setups of the raw frames, by path.
    nights
        Names of the frames' nights, by path, which become part of the new names.
    """
    found: dict[tuple[object, ...], list[RawFrame]] = {}
    for path, setup in sorted(frames.items()):
        if setup.kind in KINDS:
            found.setdefault(_set_key(setup), []).append(RawFrame(path, setup, (nights or {}).get(path, "")))
    return {members[0].path: RawSet(tuple(members)) for members in found.values()}


def with_angles(masters: Mapping[Path, FrameSetup], raws: Sets) -> tuple[Mapping[Path, FrameSetup], Sets]:
    """Return the masters and raw frames; with flats of several rotator angles, the angle is part of their filter names.

    No program compares the angle, so flats of each angle need a place of their own.
    """
    setups = [*masters.values(), *(each.setup for each in raws.values())]
    if len({_angle_deg(setup) for setup in setups if setup.kind is FrameKind.FLAT} - {None}) <= 1:
        return masters, raws
    named = {path: _with_angle(master) for path, master in masters.items()}
    return named, {path: RawSet(tuple(map(_raw_with_angle, each.frames))) for path, each in raws.items()}


def _raw_with_angle(frame: RawFrame) -> RawFrame:
    return replace(frame, setup=_with_angle(frame.setup))


def _with_angle(setup: FrameSetup) -> FrameSetup:
    angle_deg = _angle_deg(setup) if setup.kind is FrameKind.FLAT else None
    if angle_deg is None:
        return setup
    return replace(setup, filter_name=f"{setup.filter_name or 'no filter'} {angle_text(angle_deg)}")


def _angle_deg(setup: FrameSetup) -> float | None:
    """Return the rotator angle of a frame in whole degrees, because a flat fits lights within a degree."""
    return None if setup.train.rotation_deg is None else within_a_turn(setup.train.rotation_deg, digits=0)


def degrees(frame: FrameSetup) -> float | None:
    """Return the temperature rounded to whole degrees, so that frames of one setpoint share a folder."""
    celsius = frame.temperature_c if frame.setpoint_c is None else frame.setpoint_c
    return None if celsius is None else round(celsius) + 0.0


def _set_key(frame: FrameSetup) -> tuple[object, ...]:
    of_light = frame.kind in {FrameKind.FLAT, FrameKind.DARK_FLAT}
    exposed = frame.kind is not FrameKind.BIAS
    return (
        frame.kind,
        frame.camera,
        frame.width,
        frame.height,
        frame.readout,
        frame.exposure_s if exposed else None,
        degrees(frame),
        frame.filter_name if of_light else None,
        _angle_deg(frame) if frame.kind is FrameKind.FLAT else None,
    )
