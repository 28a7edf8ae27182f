"""The library: one folder with the masters of all nights; masters are found by their headers.

::

    library/
        ASI2600MM/biases/MasterBias_ASI2600MM_G100_O50_-10C_1x1_2026-11-22.fits
        ASI2600MM/darks/...  ASI2600MM/dark-flats/...  ASI2600MM/flats/...
        superseded/                       masters that newer masters have replaced
        index.sqlite                      a cache; the headers are authoritative
"""

import errno
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.files.durable import NotDurableError, link_durably, make_folder_durably
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.image_header import PLAIN_SUFFIXES, XISF_SUFFIX
from coldframe.calibration.files.keywords import in_drivers_words
from coldframe.calibration.files.naming import name_part
from coldframe.calibration.frames.matching import superseded
from coldframe.calibration.frames.setup import FrameSetup, is_single_frame, setup_of
from coldframe.calibration.library.index import LibraryIndex, OpenIndex, Stamp
from coldframe.config.frames import FrameKind
from coldframe.errors import ColdframeError, MissingPackageError

INDEX = "index.sqlite"

_SUFFIXES = PLAIN_SUFFIXES | {XISF_SUFFIX}

LIBRARY = "library"
"""Name of the library's folder in the storage folder."""

_FOLDERS = {
    FrameKind.BIAS: "biases",
    FrameKind.DARK: "darks",
    FrameKind.DARK_FLAT: "dark-flats",
    FrameKind.FLAT: "flats",
}
_SUPERSEDED = "superseded"

Header = Mapping[str, HeaderValue]


class NotAMasterError(ColdframeError):
    """A file cannot be filed in the library, because it is not a master or its header does not state its kind."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The contents of the library.

    Attributes
    ----------
    headers
        Headers of the masters, by path.
    faults
        Faults of the files that are not masters or cannot be read, by path.
    """

    headers: Mapping[Path, Header]
    faults: Mapping[Path, str]

    @property
    def setups(self) -> dict[Path, FrameSetup]:
        """Setups of the masters, by path."""
        return {path: setup_of(header) for path, header in self.headers.items()}


@dataclass(frozen=True, slots=True)
class Library:
    """A folder of masters.

    Several processes can use the library at once: files appear only when they are complete, and never change; the index
    serialises writers.

    Attributes
    ----------
    folder
        Path of the folder, which is created when the first master is filed.
    """

    folder: Path

    def file(self, master: Path) -> Path:
        """Add a master as a hard link or, if that fails, as a copy; return its path. Filed masters do not change.

        Parameters
        ----------
        master
            A file written by `write_master`, or a master from another program whose header states its kind.

        Raises
        ------
        FrameFileError
            If the file cannot be read.
        NotAMasterError
            If the file is not a master.
        NotDurableError
            If the master could not be written to disk.
        """
        from coldframe.calibration.masters.integrity import file_digest  # noqa: PLC0415 - needs NumPy
        from coldframe.calibration.masters.reading import read_master_header  # noqa: PLC0415 - needs NumPy

        header = read_master_header(master)
        fault = not_a_master(header)
        if fault is not None:
            raise NotAMasterError(f"{master}: {fault}")
        digest = file_digest(master)
        target = self._place(master, header)
        make_folder_durably(target.parent)
        with self.index.opened() as index:
            for path in _numbered(target):
                if not (_linked(master, path) or path.samefile(master) or file_digest(path) == digest):
                    continue
                name = self._name(path)
                index.remember(name, Stamp.of(path), header)
                index.keep_digest(name, digest)
                return path
        raise AssertionError("numbers are unlimited")

    def catalogue(self) -> Catalogue:
        """Return the contents of the library; only the headers of new or changed files are read."""
        headers: dict[Path, Header] = {}
        faults: dict[Path, str] = {}
        if not self.folder.is_dir():
            return Catalogue(headers, faults)
        with self.index.opened() as index:
            known = index.names()
            for path in self._files():
                try:
                    header = self._header(path, index)
                except FrameFileError as error:
                    faults[path] = error.what
                    continue
                except MissingPackageError as error:
                    faults[path] = str(error)
                    continue
                except OSError as error:
                    faults[path] = error.strerror or str(error)
                    continue
                fault = not_a_master(header)
                if fault is None:
                    headers[path] = header
                else:
                    faults[path] = fault
            for name in known - {self._name(path) for path in (*headers, *faults)}:
                index.drop(name)
        return Catalogue(headers, faults)

    def verify(self) -> Iterator[tuple[Path, str | None]]:
        """Read every byte of every master; yield each master with its fault, or with None if it is intact.

        The checksums in the file must be correct, and its SHA-256 must match the one that was stored when the
        file was filed or first found intact.
        """
        from coldframe.calibration.masters.integrity import integrity_fault  # noqa: PLC0415 - needs NumPy

        catalogue = self.catalogue()
        yield from catalogue.faults.items()
        for path in catalogue.headers:
            fault = integrity_fault(path) or self._digest_fault(path)
            yield path, fault

    def rebuild(self) -> Catalogue:
        """Delete the index and read every header again."""
        self.index.forget()
        return self.catalogue()

    def prunable(self) -> tuple[Path, ...]:
        """Return the masters that newer masters have replaced."""
        return superseded(self.catalogue().setups)

    def retire(self, master: Path) -> Path:
        """Move a master in the library to `superseded/`, where it is no longer considered for lights; return its path.

        Raises
        ------
        NotDurableError
            If the master could not be moved; it then stays in place.
        """
        target = self.folder / _SUPERSEDED / self._name(master)
        make_folder_durably(target.parent)
        try:
            path = next(path for path in _numbered(target) if not path.exists())
            link_durably(master, path)
            master.unlink()
        except OSError as error:
            raise NotDurableError.of(target, error) from error
        return path

    @property
    def index(self) -> LibraryIndex:
        """The index, which contains the headers and digests of the masters."""
        return LibraryIndex(self.folder / INDEX)

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _files(self) -> list[Path]:
        retired = self.folder / _SUPERSEDED
        return sorted(
            path
            for path in self.folder.rglob("*")
            if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".") and not path.is_relative_to(retired)
        )

    def _header(self, path: Path, index: OpenIndex) -> Header:
        from coldframe.calibration.masters.reading import read_master_header  # noqa: PLC0415 - needs NumPy

        name, stamp = self._name(path), Stamp.of(path)
        header = index.header(name, stamp)
        if header is None:
            header = read_master_header(path)
            index.remember(name, stamp, header)
        return header

    def _digest_fault(self, path: Path) -> str | None:
        from coldframe.calibration.masters.integrity import file_digest  # noqa: PLC0415 - needs NumPy

        digest = file_digest(path)
        with self.index.opened() as index:
            known = index.digest(self._name(path))
            if known is None:
                index.keep_digest(self._name(path), digest)
        return None if known in {None, digest} else "its SHA-256 shows that the file has changed since it was filed"

    def _place(self, master: Path, header: Header) -> Path:
        setup = setup_of(in_drivers_words(header))  # so that one camera has one folder
        assert setup.kind is not None
        date = "" if setup.taken_at is None else f"_{setup.taken_at.date().isoformat()}"
        suffix = XISF_SUFFIX if master.suffix.lower() == XISF_SUFFIX else ".fits"
        stem = master.stem if master.stem.endswith(date) else master.stem + date
        return self.folder / name_part(setup.camera or "camera") / _FOLDERS[setup.kind] / f"{stem}{suffix}"


def not_a_master(header: Header) -> str | None:
    """Return the reason why a file with the given header is not a master; None if it is a master."""
    setup = setup_of(header)
    kind = setup.kind
    if kind is None:
        return "its header has no known frame type (IMAGETYP)"
    if setup.unreadable:
        return f"its header cannot be interpreted: {', '.join(map(str, setup.unreadable))}; correct the card"
    if kind not in _FOLDERS:
        return f"it is a {kind} frame, but the library contains masters of bias, dark, flat and dark-flat frames"
    return f"it is a single {kind} frame, not a master" if is_single_frame(header) else None


def _linked(source: Path, path: Path) -> bool:
    """Link a file under a new name; return False if another process has just created a file with this name."""
    try:
        link_durably(source, path)
    except NotDurableError as error:
        if error.errno != errno.EEXIST:
            raise
        return False
    return True


def _numbered(path: Path) -> Iterator[Path]:
    """Yield the path, then the path with the numbers 2, 3, ... appended to its stem."""
    yield path
    for number in count(2):
        yield path.with_stem(f"{path.stem}-{number}")
