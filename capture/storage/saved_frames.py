"""Find the raw frames that an earlier run of the same night saved, verify them, and return each frame once.

A frame counts as shot if its file passes verification and matches a set. coldframe does not rely on a counter or on the
journal for this (docs/decisions/0012).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from coldframe.calibration.files.cards import HeaderValue, ascii_text
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.keywords import angle_of_set_deg, in_drivers_words
from coldframe.calibration.files.raws.frames import is_raw, read_night_frame, read_night_header
from coldframe.calibration.files.raws.sidecar import digest_fault
from coldframe.calibration.frames.setup import FrameSetup, setup_of
from coldframe.calibration.masters.integrity import integrity_fault
from coldframe.capture.steps import ShootStep
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.config.angles import is_same_angle
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.devices.camera import Frame


@dataclass(frozen=True, slots=True)
class Wanted:
    """The properties that a frame must have to belong to a set.

    Attributes
    ----------
    filter_name
        Name of the filter; None for any filter, as for darks. Drivers write the current filter into their headers, too.
    exposure_s
        Exact exposure time, seconds; None for any exposure time, as in twilight flats.
    rotator_deg
        Rotator angle of the set, degrees; None for a set without an angle. Only the angles of flats are compared.
    tolerance_deg
        Maximum difference, degrees, between the angle of the set and the angle of a flat that belongs to it.
    """

    camera: str
    kind: FrameKind
    readout: ReadoutSettings
    setpoint_c: float | None
    filter_name: str | None
    exposure_s: float | None
    rotator_deg: float | None = None
    tolerance_deg: float = 0.0

    @classmethod
    def of(cls, step: ShootStep, camera: str, exposure_s: float | None, tolerance_deg: float = 0.0) -> "Wanted":
        """Return the properties that the frames of a planned set must have."""
        angle_deg = step.rotator_deg
        return cls(camera, step.kind, step.readout, step.setpoint_c, step.filter, exposure_s, angle_deg, tolerance_deg)

    def includes(self, setup: FrameSetup, header: Mapping[str, HeaderValue]) -> bool:
        """Return whether a saved frame belongs to the set; readout settings that the set leaves open may differ.

        Parameters
        ----------
        setup, header
            Setup and header of the frame, with the rig's own names; see `in_drivers_words`.
        """
        wanted, had = self.readout, setup.readout
        return (
            setup.kind is self.kind
            and header.get("INSTRUME") == _as_written(self.camera)
            and had.binning == wanted.binning
            and wanted.gain in {None, had.gain}
            and wanted.offset in {None, had.offset}
            and (wanted.readout_mode is None or had.readout_mode == _as_written(wanted.readout_mode))
            and setup.setpoint_c == self.setpoint_c
            and (self.filter_name is None or header.get("FILTER") == _as_written(self.filter_name))
            and self.exposure_s in {None, setup.exposure_s}
            # Dark flats do not depend on the angle, so those that were shot for other angles belong to the set, too.
            and (
                self.kind is not FrameKind.FLAT
                or is_same_angle(angle_of_set_deg(header), self.rotator_deg, self.tolerance_deg)
            )
        )


@dataclass(frozen=True, slots=True)
class SavedFrame:
    """A frame as the camera delivered it, and the path of its file.

    Attributes
    ----------
    is_shared
        True if the frame also counts in another set of the night, and must therefore stay where it is.
    """

    path: Path
    frame: Frame
    is_shared: bool = False


class SavedFrames:
    """The saved raw frames of a night. The methods read files, so call them in threads.

    Parameters
    ----------
    folder
        Folder of the night.
    paths
        Paths of the raw frames. A frame with an unreadable header is moved to quarantine.
    are_shared
        True if the frames also count in other sets. In that case, a frame that cannot be read stays where it is.
    """

    def __init__(self, folder: NightFolder, paths: Iterable[Path] = (), *, are_shared: bool = False) -> None:
        self._folder = folder
        self._are_shared = are_shared
        self._frames: dict[Path, tuple[FrameSetup, Mapping[str, HeaderValue]]] = {}
        self._faults: list[str] = []
        for path in sorted(paths):
            try:
                header = in_drivers_words(read_night_header(path))
            except FrameFileError as error:
                self._leave_out(path, error.what)
            else:
                self._frames[path] = (setup_of(header), header)

    def count(self, wanted: Wanted) -> int:
        """Return the number of frames that belong to a set according to their headers."""
        return sum(wanted.includes(*known) for known in self._frames.values())

    def take(self, wanted: Wanted, settings: ReadoutSettings) -> SavedFrame | None:
        """Return the next frame of a set, or None if no frame is left; each frame is returned only once.

        Parameters
        ----------
        wanted
            Properties of the set.
        settings
            Current settings of the camera. A frame that was shot with different settings cannot be combined with new
            frames.

        Raises
        ------
        NotDurableError
            If a damaged frame cannot be moved to quarantine.
        """
        mode = settings.readout_mode
        as_written = settings if mode is None else replace(settings, readout_mode=_as_written(mode))
        while (
            path := next((path for path, known in self._frames.items() if wanted.includes(*known)), None)
        ) is not None:
            setup, _ = self._frames.pop(path)
            if setup.readout != as_written:
                self._faults.append(
                    f"{path.name} does not count: it was shot with {setup.readout}, but the camera now has {settings}"
                )
                continue
            try:
                return SavedFrame(path, _verified(path, wanted.camera, settings), self._are_shared)
            except FrameFileError as error:
                self._leave_out(path, error.what)
        return None

    def release(self, names: Iterable[str]) -> None:
        """Stop offering the frames with the given file names, because they are already part of a master."""
        taken = set(names)
        self._frames = {path: known for path, known in self._frames.items() if path.name not in taken}

    def faults(self) -> tuple[str, ...]:
        """Return a message for each frame that does not count; each message is returned only once."""
        faults, self._faults = tuple(self._faults), []
        return faults

    def _leave_out(self, path: Path, fault: str) -> None:
        if self._are_shared:
            # The master of the other set contains the frame, and a read error may be transient.
            self._faults.append(f"{path.name} cannot be reused for this set; the file stays where it is: {fault}")
            return
        self._folder.quarantine_saved(path, f"a later run found that the file is damaged: {fault}")
        self._faults.append(f"{path.name} does not count and was moved to quarantine: {fault}")


def _verified(path: Path, camera: str, settings: ReadoutSettings) -> Frame:
    """Return a saved frame as the camera delivered it, after verifying its checksums."""
    fault = digest_fault(path) if is_raw(path) else integrity_fault(path)
    if fault is not None:
        raise FrameFileError(path, fault)
    pixels, header = read_night_frame(path)
    setup = setup_of(header)
    if setup.kind is None or setup.exposure_s is None or setup.taken_at is None:
        raise FrameFileError(path, "kind, exposure time or date is missing from the header")
    sensor_c = header.get("CCD-TEMP")
    return Frame(
        pixels=pixels,
        kind=setup.kind,
        exposure_s=setup.exposure_s,
        started_at=setup.taken_at,
        settings=settings,
        sensor_c=float(sensor_c) if isinstance(sensor_c, int | float) else None,
        setpoint_c=setup.setpoint_c,
        camera=camera,
        header=header,
    )


def _as_written(name: str) -> str:
    """Return a name as a FITS header stores it: in ASCII and without trailing blanks, which FITS ignores."""
    return ascii_text(name).rstrip()
