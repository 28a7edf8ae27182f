"""Sets of raw frames for an export, separated by the settings that programs must not mix."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from coldframe.calibration.files.headers.image_header import PLAIN_SUFFIXES
from coldframe.calibration.files.naming import name_part
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.config.angles import AngleGroups, within_a_turn
from coldframe.config.frames import FrameKind

KINDS = frozenset({FrameKind.BIAS, FrameKind.DARK, FrameKind.FLAT, FrameKind.DARK_FLAT})
"""Kinds of frames that are exported."""

SAME_SET_DEG = 0.4
"""Maximum difference between the rotator angles of two frames of a set: twice the default of rotator.tolerance_deg."""


@dataclass(frozen=True, slots=True)
class RawFrame:
    """A raw frame.

    Attributes
    ----------
    path
        The file.
    setup
        Setup of the frame.
    night
        Name of the night, which distinguishes frames with equal names; empty if the night is unknown.
    """

    path: Path
    setup: FrameSetup
    night: str = ""

    @property
    def name(self) -> str:
        """The name of the exported frame, such as flat_L_0001_2026-11-22.fits."""
        if not self.night:
            return self.path.name
        stem, suffix = self.path.stem, self.path.suffix
        if Path(stem).suffix.lower() in PLAIN_SUFFIXES:  # .fits.gz and .fits.fz
            stem, suffix = Path(stem).stem, Path(stem).suffix + suffix
        return f"{stem}_{name_part(self.night)}{suffix}"


@dataclass(frozen=True, slots=True)
class RawSet:
    """Raw frames of one kind with the same settings."""

    frames: tuple[RawFrame, ...]

    @property
    def setup(self) -> FrameSetup:
        """The setup of the first frame."""
        return self.frames[0].setup


Sets = Mapping[Path, RawSet]
"""Sets of raw frames, each by the path of its first frame."""


def raw_sets(frames: Mapping[Path, FrameSetup], nights: Mapping[Path, str] | None = None) -> Sets:
    """Return the sets of bias frames, darks, flats and dark flats among raw frames, by the path of each first frame.

    Parameters
    ----------
    frames
        Setups of the raw frames, by path.
    nights
        Names of the frames' nights, by path; they become part of the frames' new names.
    """
    found: dict[tuple[object, ...], list[RawFrame]] = {}
    angles = AngleGroups(SAME_SET_DEG)
    for path, setup in sorted(frames.items()):
        if setup.kind in KINDS:
            found.setdefault(_set_key(setup, angles), []).append(RawFrame(path, setup, (nights or {}).get(path, "")))
    return {members[0].path: RawSet(tuple(members)) for members in found.values()}


def with_angles(masters: Mapping[Path, FrameSetup], raws: Sets) -> tuple[Mapping[Path, FrameSetup], Sets]:
    """Return masters and raw frames; if flats have several rotator angles, each flat gets the angle of its set.

    No program compares angles, so flats at each angle need a separate folder. All other frames are returned without an
    angle. If all flats have the same angle, they, too, are returned without it.
    """
    angles = AngleGroups(SAME_SET_DEG)
    for setup in (*masters.values(), *(each.setup for each in raws.values())):
        _angle_deg(setup, angles)

    def with_angle(setup: FrameSetup, of: FrameSetup) -> FrameSetup:
        angle_deg = _angle_deg(of, angles) if len(angles) > 1 else None
        return replace(setup, train=replace(setup.train, rotation_deg=angle_deg))

    named = {path: with_angle(master, master) for path, master in masters.items()}
    return named, {
        path: RawSet(tuple(replace(frame, setup=with_angle(frame.setup, each.setup)) for frame in each.frames))
        for path, each in raws.items()
    }


def _angle_deg(setup: FrameSetup, angles: AngleGroups) -> float | None:
    """Return the rotator angle of a flat's set, rounded to 0.1 degrees as in names; None for other frames."""
    angle_deg = setup.train.rotation_deg if setup.kind is FrameKind.FLAT else None
    return None if angle_deg is None else within_a_turn(angles.of(angle_deg), digits=1)


def degrees(frame: FrameSetup) -> float | None:
    """Return the setpoint, or else the temperature, in whole degrees.

    Frames with the same setpoint thus share a folder.
    """
    celsius = frame.temperature_c if frame.setpoint_c is None else frame.setpoint_c
    return None if celsius is None else round(celsius) + 0.0


def _set_key(frame: FrameSetup, angles: AngleGroups) -> tuple[object, ...]:
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
        _angle_deg(frame, angles),
    )
