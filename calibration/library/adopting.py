"""Masters from other programs, converted so that `calibrate` can use them: darks to ADU, flats to a mean of 1.

Siril and PixInsight write stacks as fractions of the full range. Their files are left unchanged; the library receives a
converted copy, whose header states each assumption.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.cards import Card, HeaderValue
from coldframe.calibration.files.durable import write_durably
from coldframe.calibration.files.frame_file import primary_pieces
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.image_header import PLAIN_SUFFIXES
from coldframe.calibration.files.image_file import ImageFile, open_image
from coldframe.calibration.files.keywords import ROLES, other_cards
from coldframe.calibration.files.xisf_file import SUFFIX as XISF
from coldframe.calibration.frames.setup import BIAS_TAKEN_OUT, setup_of
from coldframe.calibration.masters.master_frame import IMAGE_TYPES
from coldframe.calibration.masters.reading import HIGHEST_OF_FRACTIONS
from coldframe.config.frames import FrameKind

F32 = NDArray[np.float32]
Header = Mapping[str, HeaderValue]

FULL_RANGE_ADU = 65_535.0
"""Level in ADU that the value 1.0 represents in a stack of frames that are stored in 16 bits."""

LARGEST_MEAN_ERROR = 0.01
"""Maximum difference between 1 and the mean of a flat that counts as normalised; masked pixels shift the mean."""

_MOST_OF_FRACTIONS = 0.999
"""Minimum share of pixels with values of at most 1 in a master of fractions; a few hot pixels may exceed 1."""

LEAST_BIAS_ADU = 150.0
"""Level, ADU, at or above which a dark is assumed to contain its bias; the offsets of cameras are higher, and dark
signals are lower."""

ZERO_SIGMA = 3.0
"""Level, in standard deviations of the pixels, up to which a dark is assumed not to contain its bias."""

_ELECTRONS = frozenset({"e", "e-", "electron", "electrons", "elec"})
_STEP = 3


@dataclass(frozen=True, slots=True)
class Stated:
    """The user's statements about masters.

    Attributes
    ----------
    kind
        Kind of the masters; None if their headers state it.
    full_range_adu
        Level in ADU that the value 1.0 represents; None if coldframe should determine it.
    has_bias
        Whether darks contain their bias; None if coldframe should determine it.
    """

    kind: FrameKind | None = None
    full_range_adu: float | None = None
    has_bias: bool | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Adopted:
    """A converted master.

    Attributes
    ----------
    mean
        Pixels in ADU or, for flats, relative to a mean of 1: float32, shape (height, width).
    header
        Header of the original.
    kind
        Kind of the master.
    has_bias
        False for darks whose bias was subtracted.
    assumptions
        Assumptions about the original, and changes to its values, as text.
    """

    mean: F32
    header: Header
    kind: FrameKind
    has_bias: bool
    assumptions: tuple[str, ...]

    def write(self, path: Path) -> None:
        """Write the master to a new file in an existing folder.

        Raises
        ------
        NotDurableError
            If the file could not be written to disk, or already exists.
        """
        own = [
            Card("IMAGETYP", IMAGE_TYPES[self.kind], "kind of the master"),
            Card("CFROLE", ROLES[self.kind], "purpose of its frames"),
            Card("BUNIT", "relative" if self.kind is FrameKind.FLAT else "adu", "unit of the pixels"),
            *(Card(f"CFADOP{number:02d}", text) for number, text in enumerate(self.assumptions, start=1)),
        ]
        if not self.has_bias:
            own.append(Card("CALSTAT", BIAS_TAKEN_OUT, "the bias was subtracted"))
        others = {keyword: value for keyword, value in self.header.items() if keyword != "CALSTAT"}
        write_durably(path, primary_pieces(self.mean, own + other_cards(own, others)))


def adopted(path: Path, unpacked_in: Path, stated: Stated) -> Adopted | None:
    """Return a converted master; None if the file needs no conversion, or if no kind of master is stated.

    Parameters
    ----------
    path
        A master from any program.
    unpacked_in
        Folder for the copy of a compressed file.
    stated
        The user's statements about the master.

    Raises
    ------
    FrameFileError
        If the file cannot be read, if its unit cannot be determined, or if the user's statements contradict the file.
    """
    image = open_image(path, unpacked_in)
    kind = _kind(image, stated)
    is_plain = path.suffix.lower() in PLAIN_SUFFIXES
    if kind is None or (is_plain and _is_own_in_adu(image, kind)):
        return None
    own = image.header.get("IMAGETYP")
    notes = [] if kind is setup_of(image.header).kind else [f"the user stated that it is a master {kind}"]
    if stated.kind is not None and own is None:
        notes.append("its header does not show that frames were combined")
    mean = image.pixels().astype(np.float32, copy=False)
    if float(mean.min()) == float(mean.max()):
        raise FrameFileError(path, f"all its pixels have the same value, {float(mean.min()):g}")
    if kind is FrameKind.FLAT:
        if stated.full_range_adu is not None:
            raise FrameFileError(
                path, "it is a flat, and the values of flats are relative, so --range does not apply to it"
            )
        mean, changes = _relative_flat(path, mean)
        has_bias = True
    else:
        mean, changes = _in_adu(image, mean, stated.full_range_adu)
        has_bias, said = _bias_in(image, mean, kind, stated)
        changes += said
    notes += changes
    if is_plain and not notes:
        return None
    return Adopted(mean, dict(image.header), kind, has_bias, tuple(notes))


def _kind(image: ImageFile, stated: Stated) -> FrameKind | None:
    """Return the kind of a master; None if neither the header nor the user states a kind of master."""
    own = setup_of(image.header).kind
    kind = stated.kind or own
    # Other programs label dark flats as darks.
    if own not in {None, kind} and {own, kind} != {FrameKind.DARK, FrameKind.DARK_FLAT}:
        raise FrameFileError(image.path, f"its header states that it is a {own}, not a {kind}")
    return kind if kind in IMAGE_TYPES else None


def _relative_flat(path: Path, mean: F32) -> tuple[F32, list[str]]:
    level = float(mean.mean(dtype=np.float64))
    if abs(level - 1) <= LARGEST_MEAN_ERROR:
        return mean, []
    if not level > 0:
        raise FrameFileError(path, f"it is not a flat, because its mean is {level:.4g}")
    return mean / np.float32(level), [
        f"its mean of {level:.6g} was scaled to 1; its bias or dark flat was already subtracted"
    ]


def _is_own_in_adu(image: ImageFile, kind: FrameKind) -> bool:
    """Return whether the master was made by coldframe, from frames whose values were not fractions."""
    if "CFROLE" not in image.header:
        return False
    around_zero = "OVERSCAN" in image.header or "CALSTAT" in image.header
    return kind is FrameKind.FLAT or around_zero or float(image.pixels().max()) > HIGHEST_OF_FRACTIONS


def _in_adu(image: ImageFile, mean: F32, full_range_adu: float | None) -> tuple[F32, list[str]]:
    path, low, high = image.path, float(mean.min()), float(mean.max())
    # Fractions in XISF files are scaled to 16 bits when they are read.
    unit = image.scale if path.suffix.lower() == XISF else 1.0
    most = float(np.quantile(mean[::_STEP, ::_STEP], _MOST_OF_FRACTIONS))
    if full_range_adu is not None:
        changed = mean * np.float32(full_range_adu / unit)
        if float(np.median(changed[::_STEP, ::_STEP])) > FULL_RANGE_ADU:
            raise FrameFileError(path, f"most of its values exceed the 16-bit range if 1.0 is {full_range_adu:g} ADU")
        return changed, [f"the user stated that 1.0 is {full_range_adu:g} ADU"]
    if unit != 1:
        return mean, [f"1.0 is {unit:,.0f} ADU, as in other XISF files"]
    if str(image.header.get("BUNIT", "")).strip().casefold() in _ELECTRONS:
        raise FrameFileError(path, "its unit is electrons (BUNIT): specify the number of ADU per electron with --range")
    if most <= HIGHEST_OF_FRACTIONS and image.bits < 0:
        return mean * np.float32(FULL_RANGE_ADU), [f"1.0 is {FULL_RANGE_ADU:,.0f} ADU, because few values exceed 1"]
    if high > FULL_RANGE_ADU * 1.01:
        raise FrameFileError(
            path,
            f"its values, from {low:.4g} to {high:.4g}, exceed the 16-bit range: "
            "use --range to specify the level in ADU that the value 1 represents",
        )
    return mean, []


def _bias_in(image: ImageFile, mean: F32, kind: FrameKind, stated: Stated) -> tuple[bool, list[str]]:
    """Return whether a master contains its bias, and the evidence for this."""
    path, header = image.path, image.header
    calibration = str(header.get("CALSTAT", "")).strip()
    if kind is FrameKind.BIAS or "OVERSCAN" in header:
        return True, []
    if BIAS_TAKEN_OUT in calibration:
        return False, [] if calibration == BIAS_TAKEN_OUT else ["its bias was subtracted, as its header states"]
    if stated.has_bias is not None:
        return stated.has_bias, [f"the user stated that its bias was {'not ' if stated.has_bias else ''}subtracted"]
    sampled = mean[::_STEP, ::_STEP]
    level = float(np.median(sampled))
    scatter = 1.4826 * float(np.median(np.abs(sampled - level)))
    if level >= LEAST_BIAS_ADU:
        return True, []
    if abs(level) <= ZERO_SIGMA * scatter:
        return False, [f"its bias was subtracted, as its level of {level:.1f} ADU shows"]
    raise FrameFileError(
        path,
        f"its level of {level:.1f} ADU does not reveal whether its bias was subtracted: "
        "specify --with-bias or --bias-subtracted",
    )


def assumptions_in(header: Header) -> Iterator[str]:
    """Yield the assumptions stated in the header of an adopted master."""
    number = 1
    while isinstance(text := header.get(f"CFADOP{number:02d}"), str):
        yield text
        number += 1
