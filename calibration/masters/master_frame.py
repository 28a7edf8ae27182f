"""Master frames: their data, header cards and files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.cards import CARD_LENGTH, Card, HeaderValue, format_card, parse_cards
from coldframe.calibration.files.durable import write_durably
from coldframe.calibration.files.frame_file import extension_pieces, primary_pieces
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.keywords import (
    ANGLE_OF_SET,
    ROLES,
    ROTATOR_ANGLE,
    angle_of_set_deg,
    frame_name_cards,
    frame_names,
    setting_cards,
    software_card,
    utc_text,
    with_driver_cards,
)
from coldframe.calibration.files.naming import name_part, settings_text
from coldframe.calibration.frames.overscan import Overscan, corrected_header
from coldframe.calibration.frames.setup import BIAS_TAKEN_OUT, REACHED_C
from coldframe.calibration.masters.frame_variance import MOST_VARIANCE_FACTORS
from coldframe.calibration.masters.integrity import integrity_fault
from coldframe.calibration.masters.reading import read_master
from coldframe.calibration.measuring.amp_glow import SIGNIFICANCE, AmpGlow, measure_glow
from coldframe.calibration.measuring.medians import median
from coldframe.calibration.measuring.statistics import central_region
from coldframe.calibration.stacking.column_sort import method_trial
from coldframe.calibration.stacking.methods import Clipping, Mean, Median, MedianClipping, Method, Winsorizing
from coldframe.calibration.stacking.stack import Stack
from coldframe.calibration.stacking.uncertainty import Trial
from coldframe.config.frames import FrameKind, ReadoutSettings

IMAGE_TYPES = {
    FrameKind.BIAS: "Master Bias",
    FrameKind.DARK: "Master Dark",
    FrameKind.FLAT: "Master Flat",
    FrameKind.DARK_FLAT: "Master Dark",
}
_NAMES = {
    FrameKind.BIAS: "MasterBias",
    FrameKind.DARK: "MasterDark",
    FrameKind.FLAT: "MasterFlat",
    FrameKind.DARK_FLAT: "MasterDarkFlat",
}

_UNNAMED = "unknown camera"

FLAT_LEVEL = "CFLEVEL"
"""Keyword, in master flats, for the mean level of the frames above their dark, ADU."""

_KEPT_OF_DRIVER = frozenset(
    {
        "ROWORDER", "BAYERPAT", "XBAYROFF", "YBAYROFF", "PIXSIZE1", "PIXSIZE2", "XPIXSZ", "YPIXSZ", "EGAIN", "CAMERAID",
        "TELESCOP", "FOCALLEN", "APTDIA", "FOCUSPOS", ROTATOR_ANGLE, "COLORTYP",
        "BIASSEC", "TRIMSEC", "DATASEC", "INSTRUME", "CFCAMERA", "CFTELESC", "CFFOCLEN",
    }
)  # fmt: skip
"""Keywords of the cards in a raw frame that also apply to the master; other cards, such as the pointing, describe
individual frames."""

_FILTER_KEYWORDS = frozenset({"FILTER", "CFFILTER", ANGLE_OF_SET})
"""Keywords of further cards, which apply to masters for which the filter matters."""


@dataclass(frozen=True, eq=False)
class MasterFrame:
    """The combined frames of one set, and their common properties.

    Attributes
    ----------
    kind
        Kind of the frames; there are no masters of lights.
    stack
        Mean, uncertainty and counts. Mean and uncertainty are in ADU; for flats, they are normalised to a mean of 1.
    camera, settings, exposure_s, filter_name
        Properties that all frames share; None for a camera or an exposure that is unknown.
    sensor_c
        Mean sensor temperature; None if unknown.
    sensor_range_c
        Lowest and highest sensor temperature of the frames; None if unknown.
    setpoint_c
        Cooler setpoint; None for an uncooled camera.
    method
        The method by which the frames were combined.
    inputs
        File names of the frames.
    first_at, last_at
        Start times of the first and the last exposure, UTC; None if unknown.
    masked
        bool, shape (height, width): pixels without signal; None for masters other than flats.
    subtracted
        Name of the master that was subtracted from each frame; None if no master was subtracted.
    header
        Cards that the driver wrote into the first frame.
    overscan
        The overscan that was first subtracted from each frame; None if none was subtracted.
    subtracted_sum
        DATASUM of the subtracted master; it identifies this master even after its file has been renamed.
    remarks
        Further cards for the header.
    """

    kind: FrameKind
    stack: Stack
    camera: str | None
    settings: ReadoutSettings
    exposure_s: float | None
    sensor_c: float | None
    setpoint_c: float | None
    filter_name: str | None
    method: Method
    inputs: tuple[str, ...]
    first_at: datetime | None
    last_at: datetime | None
    masked: NDArray[np.bool_] | None = None
    subtracted: str | None = None
    header: Mapping[str, HeaderValue] = field(default_factory=dict)
    overscan: Overscan | None = None
    subtracted_sum: str | None = None
    remarks: tuple[Card, ...] = ()
    sensor_range_c: tuple[float, float] | None = None

    @cached_property
    def cards(self) -> list[Card]:
        """Cards of the first image in the file; some contain figures that are computed from all pixels."""
        return _cards(self)

    @property
    def level(self) -> float:
        """Median of the mean in the central region, in ADU; for flats, as a fraction of the mean over all pixels."""
        return float(median(self.stack.mean[central_region(self.stack.mean.shape)]))

    @property
    def noise(self) -> float:
        """Typical noise of the mean, in the unit of the mean; NaN for a single frame.

        This is the median of the uncertainty, corrected for the excess that the scatter of the uncertainty itself
        causes. The part due to rounding is the same in all pixels.
        """
        known = self.stack.uncertainty[np.isfinite(self.stack.uncertainty)]
        if not known.size:
            return float("nan")
        rounding = self.stack.rounding_adu2
        scatter = max(float(np.median(known)) ** 2 - rounding, 0.0)
        return float(np.sqrt(scatter * method_trial(self.stack.frames, self.method).noise_fraction + rounding))


def master_name(master: MasterFrame) -> str:
    """Return the master's file name, such as MasterDark_ASI2600MM_G100_O50_-10C_300s_1x1.fits.

    The name contains every setting that a frame must share to be calibrated with the master. Only the names of darks
    and dark flats contain the exposure, with its decimals; only those of flats and dark flats contain the filter, and
    only those of flats contain the rotator angle.
    """
    text = settings_text(
        master.kind,
        master.settings,
        master.exposure_s,
        _nominal_c(master),
        master.filter_name,
        is_iso="ISOSPEED" in master.header,
        rotator_deg=angle_of_set_deg(master.header),
    )
    return f"{_NAMES[master.kind]}_{name_part(master.camera or _UNNAMED)}_{text}.fits"


def _nominal_c(master: MasterFrame) -> float | None:
    """Return the setpoint if the sensor reached it, otherwise the mean sensor temperature."""
    if master.setpoint_c is None or master.sensor_c is None:
        return master.sensor_c if master.setpoint_c is None else master.setpoint_c
    return master.setpoint_c if abs(master.sensor_c - master.setpoint_c) <= REACHED_C else master.sensor_c


def _cards(master: MasterFrame) -> list[Card]:
    stack = master.stack
    ours = [
        Card("IMAGETYP", IMAGE_TYPES[master.kind], "type of frame"),
        Card("CFROLE", ROLES[master.kind], "purpose of its frames"),
        Card("BUNIT", "relative" if master.kind is FrameKind.FLAT else "adu", "unit of the pixels"),
        *setting_cards(
            exposure_s=master.exposure_s,
            settings=master.settings,
            sensor_c=master.sensor_c,
            setpoint_c=master.setpoint_c,
            filter_name=master.filter_name,
            camera=master.camera,
        ),
        Card("STACKCNT", stack.frames, "frames combined"),
        Card("NCOMBINE", stack.frames, "frames combined"),
        *_live_time_cards(master),
        *_temperature_cards(master),
        *_date_cards(master),
        software_card(),
        *_method_cards(master),
        *master.remarks,
    ]
    header = master.header if master.overscan is None else corrected_header(master.header, master.overscan)
    keywords = _KEPT_OF_DRIVER if master.filter_name is None else _KEPT_OF_DRIVER | _FILTER_KEYWORDS
    kept = {keyword: value for keyword, value in header.items() if keyword in keywords}
    return with_driver_cards(ours, kept) + frame_name_cards(master.inputs)


def master_header(master: MasterFrame) -> dict[str, HeaderValue]:
    """Return the values of a master's cards as they are read from its file."""
    text = "".join(map(format_card, master.cards))
    return parse_cards(text[start : start + CARD_LENGTH] for start in range(0, len(text), CARD_LENGTH))


def _live_time_cards(master: MasterFrame) -> list[Card]:
    if master.exposure_s is None:
        return []
    return [Card("LIVETIME", master.stack.frames * master.exposure_s, "[s] sum of the exposures")]


def _temperature_cards(master: MasterFrame) -> list[Card]:
    if master.sensor_range_c is None:
        return []
    lowest_c, highest_c = master.sensor_range_c
    return [
        Card("CFTMPMIN", lowest_c, "[degC] lowest sensor temperature of the frames"),
        Card("CFTMPMAX", highest_c, "[degC] highest sensor temperature of the frames"),
    ]


def _date_cards(master: MasterFrame) -> list[Card]:
    if master.first_at is None or master.last_at is None:
        return []
    return [
        Card("DATE-OBS", utc_text(master.first_at), "start of the first exposure, UTC"),
        Card("DATE-END", utc_text(master.last_at), "start of the last exposure, UTC"),
    ]


def _rule_cards(method: Method, frames: int) -> list[Card]:
    """Return the cards that define the method."""
    match method:
        case Mean():
            return [Card("CFMETHOD", "mean", "how the frames were combined")]
        case Median():
            return [Card("CFMETHOD", "median", "how the frames were combined")]
        case MedianClipping() | Winsorizing():
            winsorized = "winsorized " if isinstance(method, Winsorizing) else ""
            return [
                Card("CFMETHOD", f"{winsorized}sigma-clipped mean", "how the frames were combined"),
                Card("CFKAPPA", method.kappa, "limit of rejection, in sigma"),
                Card("CFCENTRE", "median", "centre; like sigma, of the kept values"),
                Card("CFSTART", "all", "values in the first median and sigma"),
            ]
        case Clipping():
            return [
                Card("CFMETHOD", "sigma-clipped mean", "how the frames were combined"),
                Card("CFKAPPA", method.kappa, "limit of rejection, in sigma"),
                Card("CFCENTRE", method.centre, "centre; like sigma, of the kept values"),
                Card("CFSTART", method.start, "values in the first mean and sigma"),
                Card("CFTRIM", method.trimmed(frames), "values omitted on each side at the start"),
                Card("CFFLOOR", method.sigma_floor_adu, "[adu] lower limit of sigma"),
                Card("CFITER", method.iterations, "largest number of iterations"),
            ]


def _method_cards(master: MasterFrame) -> list[Card]:
    rejected = Card("CFREJECT", master.stack.rejected_fraction, "fraction of the values rejected")
    cards = [*_rule_cards(master.method, master.stack.frames), rejected]
    if master.stack.frames > 1:
        cards.append(Card("CFUNCERT", "JCGM 101:2008 6.4.9", "UNCERT: standard uncertainty, wider for few frames"))
        cards += _variance_cards(method_trial(master.stack.frames, master.method))
    if master.stack.rounding_adu2 > 0:
        cards.append(Card("CFROUND", master.stack.rounding_adu2, "[adu2] rounding in UNCERT^2, same for all frames"))
    if master.overscan is not None:
        cards += master.overscan.cards
    if master.kind is FrameKind.DARK:
        cards.append(_glow_card(measure_glow(master.stack.mean)))
    if master.subtracted is not None:
        cards.append(Card("CFSUBTR", master.subtracted, "subtracted from each frame"))
        if master.subtracted_sum is not None:
            cards.append(Card("CFSUBSUM", master.subtracted_sum, "its DATASUM"))
        if master.kind is not FrameKind.FLAT:
            cards.append(Card("CALSTAT", BIAS_TAKEN_OUT, "subtracted: B bias"))
    if master.kind is FrameKind.FLAT:
        cards.append(Card("CFNORM", "mean 1 over all unmasked pixels", "for each colour of a filter array"))
        if master.stack.flat_level_adu is not None:
            cards.append(Card(FLAT_LEVEL, round(master.stack.flat_level_adu, 1), "[adu] level of the flats above dark"))
    return cards


def _variance_cards(trial: Trial) -> list[Card]:
    """Return cards with the factors that convert UNCERT^2 x COUNTS to variances, by number of rejected values."""
    frame, scatter = trial.frame_fractions[:MOST_VARIANCE_FACTORS], trial.scatter_fractions[:MOST_VARIANCE_FACTORS]
    cards = [Card("CFVAR1", frame[0], "variance of a frame / (UNCERT^2 x COUNTS)")]
    cards += [Card(f"CFVAR{count + 1}", frame[count], f"{count} values rejected") for count in range(1, len(frame))]
    cards.append(Card("CFSCA1", scatter[0], "variance of the values / (UNCERT^2 x COUNTS)"))
    cards += [Card(f"CFSCA{count + 1}", scatter[count], f"{count} values rejected") for count in range(1, len(scatter))]
    return cards


def _glow_card(glow: AmpGlow) -> Card:
    if glow.significant:
        return Card("AMPGLOW", round(glow.amplitude_adu, 3), f"[adu] glow {glow.place}")
    return Card("AMPGLOW", 0.0, f"[adu] glow; none above {SIGNIFICANCE * glow.error_adu:.2g}")


def write_master(path: Path, master: MasterFrame) -> None:
    """Write a master durably.

    The first image of the file is the mean. The extensions are UNCERT (standard error of the mean), COUNTS (number of
    kept values) and, if present, MASK (1: pixel without signal).

    Parameters
    ----------
    path
        The file to create, in an existing folder; see `master_name`.
    master
        The master.

    Raises
    ------
    NotDurableError
        If the file could not be written to disk, or already exists.
    """
    stack = master.stack
    unit = Card("BUNIT", "relative" if master.kind is FrameKind.FLAT else "adu", "unit of the pixels")
    pieces = [
        primary_pieces(stack.mean, master.cards),
        extension_pieces("UNCERT", stack.uncertainty, [unit]),
        extension_pieces("COUNTS", stack.counts, []),
    ]
    if master.masked is not None:
        pieces.append(extension_pieces("MASK", master.masked.view(np.uint8), []))
    write_durably(path, chain.from_iterable(pieces))


def is_written(path: Path, master: MasterFrame) -> bool:
    """Return whether a file is an intact master of exactly the same frames, with the same pixels.

    Parameters
    ----------
    path
        An existing file with any content.
    master
        The master that would be written.
    """
    try:
        existing = read_master(path)
    except FrameFileError:
        return False
    # The header does not list all frames of a very large set, but the planes would differ if any frame did.
    names = frame_names(existing.header)
    planes: list[tuple[NDArray[np.generic] | None, NDArray[np.generic] | None]] = [
        (existing.mean, master.stack.mean),
        (existing.uncertainty, np.nan_to_num(master.stack.uncertainty)),
        (existing.counts, master.stack.counts),
        (existing.masked, master.masked),
    ]
    return (
        existing.header.get("STACKCNT") == master.stack.frames
        and len(names) > 0
        and names == list(master.inputs[: len(names)])
        and integrity_fault(path) is None
        and all(one is other or _is_equal(one, other) for one, other in planes)
    )


def _is_equal(one: NDArray[np.generic] | None, other: NDArray[np.generic] | None) -> bool:
    return one is not None and other is not None and np.array_equal(one, other)
