"""Raw frames that an earlier run of the same night has saved: found, checked to the last byte, and given out once each.

What is done is told by files that verify and match, and by nothing else: not by a counter, and not by the journal.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from coldframe.calibration.files.cards import HeaderValue, ascii_text
from coldframe.calibration.files.frame_file import FrameFileError, read_frame, read_header
from coldframe.calibration.frames.setup import FrameSetup, setup_of
from coldframe.calibration.masters.reading import integrity_fault
from coldframe.capture.steps import ShootStep
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.devices.camera import Frame


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which frames belong to a set.

    Attributes
    ----------
    filter_name
        None where it does not matter: drivers tell which one was in the beam of a dark, too.
    exposure_s
        To the last bit; None for any, as twilight has it.
    """

    camera: str
    kind: FrameKind
    readout: ReadoutSettings
    setpoint_c: float | None
    filter_name: str | None
    exposure_s: float | None

    @classmethod
    def of(cls, step: ShootStep, camera: str, exposure_s: float | None) -> "Wanted":
        """Return what a set of the plan wants."""
        return cls(camera, step.kind, step.readout, step.setpoint_c, step.filter, exposure_s)

    def includes(self, setup: FrameSetup, header: Mapping[str, HeaderValue]) -> bool:
        """Tell whether a saved frame is one of them; what is not asked of the readout may be anything."""
        asked, had = self.readout, setup.readout
        return (
            setup.kind is self.kind
            and header.get("INSTRUME") == _as_written(self.camera)
            and had.binning == asked.binning
            and asked.gain in {None, had.gain}
            and asked.offset in {None, had.offset}
            and (asked.readout_mode is None or had.readout_mode == _as_written(asked.readout_mode))
            and setup.setpoint_c == self.setpoint_c
            and (self.filter_name is None or header.get("FILTER") == _as_written(self.filter_name))
            and self.exposure_s in {None, setup.exposure_s}
        )


@dataclass(frozen=True, slots=True)
class SavedFrame:
    """A frame as the camera delivered it, and the file that it is in."""

    path: Path
    frame: Frame


class SavedFrames:
    """The raw frames of a night. Reads files, so it is used in threads.

    Parameters
    ----------
    folder
        The night's.
    paths
        Its raw frames. Of those whose header cannot be read, or is none of ours, nothing is taken.
    """

    def __init__(self, folder: NightFolder, paths: Iterable[Path] = ()) -> None:
        self._folder = folder
        self._frames: dict[Path, tuple[FrameSetup, Mapping[str, HeaderValue]]] = {}
        self._faults: list[str] = []
        for path in sorted(paths):
            try:
                header = read_header(path)
            except FrameFileError as error:
                self._set_aside(path, error.what)
            else:
                self._frames[path] = (setup_of(header), header)

    def count(self, wanted: Wanted) -> int:
        """Return how many of them belong to a set, going by their headers."""
        return sum(wanted.includes(*told) for told in self._frames.values())

    def take(self, wanted: Wanted, settings: ReadoutSettings) -> SavedFrame | None:
        """Give out the next frame of a set, None where none is left; each is given out once.

        Parameters
        ----------
        wanted
            Of which set.
        settings
            As the camera has them now: a frame that was shot with others makes no master with those that follow.

        Raises
        ------
        NotDurableError
            A damaged frame could not be set aside.
        """
        mode = settings.readout_mode
        as_written = settings if mode is None else replace(settings, readout_mode=_as_written(mode))
        while (path := next((path for path, told in self._frames.items() if wanted.includes(*told)), None)) is not None:
            setup, _ = self._frames.pop(path)
            if setup.readout != as_written:
                self._faults.append(f"{path.name} does not count: shot with {setup.readout}, now it is {settings}")
                continue
            try:
                return SavedFrame(path, _verified(path, wanted.camera, settings))
            except FrameFileError as error:
                self._set_aside(path, error.what)
        return None

    def release(self, names: Iterable[str]) -> None:
        """Give none of these files out: they are in a master already."""
        taken = set(names)
        self._frames = {path: told for path, told in self._frames.items() if path.name not in taken}

    def faults(self) -> tuple[str, ...]:
        """Return which frames do not count, and why, each once."""
        told, self._faults = tuple(self._faults), []
        return told

    def _set_aside(self, path: Path, fault: str) -> None:
        self._folder.quarantine_saved(path, f"found damaged by a later run: {fault}")
        self._faults.append(f"{path.name} does not count and is in quarantine: {fault}")


def _verified(path: Path, camera: str, settings: ReadoutSettings) -> Frame:
    """Return a saved frame as it was when the camera delivered it, every byte checked."""
    fault = integrity_fault(path)
    if fault is not None:
        raise FrameFileError(path, fault)
    pixels, header = read_frame(path)
    setup = setup_of(header)
    if setup.kind is None or setup.exposure_s is None or setup.taken_at is None:
        raise FrameFileError(path, "its header does not tell how it was shot")
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
    """Return a name as FITS keeps it: in ASCII, and blanks at its end mean nothing."""
    return ascii_text(name).rstrip()
