"""Copy names from the lights' headers to the night's frames, so that every program matches the frames to the lights.

Capture programs write their own names for the telescope, the camera and the filters into the headers of lights. A
night's frames have the driver's header, in which the same rig may have different names. This module performs no I/O.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from coldframe.calibration.files.cards import HeaderValue, ascii_text
from coldframe.calibration.files.keywords import DRIVERS_WORDS
from coldframe.calibration.frames.rules import Tolerances
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.capture.planning.lights_for_rig import name_in_wheel
from coldframe.capture.planning.read_lights import MOSAIC_KEYWORDS, Lights

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MosaicWords:
    """The colour filter array of the lights.

    Attributes
    ----------
    pattern
        The array, beginning at the first pixel, such as "RGGB".
    shape
        Size of the lights, (height, width). In frames of a different size, the array may begin with another colour.
    cards
        The header cards that state the array.
    """

    pattern: str
    shape: tuple[int, int]
    cards: Mapping[str, HeaderValue]

    def __str__(self) -> str:
        height, width = self.shape
        return f"{self.pattern} on {width} x {height}"


@dataclass(frozen=True, slots=True)
class LightWords:
    """The names to copy from the lights to the night's frames; empty without lights.

    Attributes
    ----------
    train
        Values for TELESCOP and FOCALLEN.
    camera
        Name of the camera in the lights; None if their headers do not state it.
    filters
        Names of filters as the lights spell them, by the wheel's names for these filters.
    mosaic
        Colour filter array, used if the driver does not state it; None for mono lights.
    notes
        Sentences for the user about names on which the lights disagree, and which are therefore not used.
    """

    train: Mapping[str, HeaderValue] = field(default_factory=dict)
    camera: str | None = None
    filters: Mapping[str, str] = field(default_factory=dict)
    mosaic: MosaicWords | None = None
    notes: tuple[str, ...] = ()

    def pattern_of(self, shape: tuple[int, ...]) -> str | None:
        """Return the lights' colour filter array for unbinned frames of the given size; None if it is unknown."""
        return self.mosaic.pattern if self.mosaic is not None and self.mosaic.shape == shape else None

    def added_to(
        self, header: Mapping[str, HeaderValue], *, camera: str, filter_name: str | None, shape: tuple[int, ...]
    ) -> dict[str, HeaderValue]:
        """Return a frame's header with the lights' names, and the rig's names under the keywords in `DRIVERS_WORDS`.

        Parameters
        ----------
        header
            The driver's header.
        camera, filter_name
            The rig's names for the camera and for the filter in the beam; no filter name for frames that state no
            filter.
        shape
            Size of the frame, (height, width).
        """
        own: dict[str, HeaderValue] = {**header, "INSTRUME": camera}
        words: dict[str, HeaderValue] = dict(self.train)
        if self.camera is not None:
            words["INSTRUME"] = self.camera
        if filter_name is not None and filter_name in self.filters:
            own["FILTER"], words["FILTER"] = filter_name, self.filters[filter_name]
        words = {keyword: value for keyword, value in words.items() if own.get(keyword) != value}
        kept = {DRIVERS_WORDS[keyword]: own[keyword] for keyword in words if keyword in own}
        return {**self._only_in_lights(header, shape), **header, **words, **kept}

    def _only_in_lights(self, header: Mapping[str, HeaderValue], shape: tuple[int, ...]) -> dict[str, HeaderValue]:
        """Return the lights' cards about the colour filter array; empty if they do not apply to the frame."""
        if self.mosaic is None or self.mosaic.shape != shape:
            return {}
        array = _array(header)
        return dict(self.mosaic.cards) if array is None or array == _array(self.mosaic.cards) else {}


def light_words(lights: Lights, filters: tuple[str, ...] | None) -> LightWords:
    """Return the names that all lights share; a name that only some lights state counts as shared.

    Parameters
    ----------
    lights
        The lights.
    filters
        Names of the wheel's filters; None without a wheel.
    """
    notes: list[str] = []
    setups = list(lights.setups.values())
    train = {
        "TELESCOP": _shared("TELESCOP", (setup.train.telescope for setup in setups), _is_same_text, notes),
        "FOCALLEN": _shared("FOCALLEN", (setup.train.focal_length_mm for setup in setups), _is_same_length, notes),
    }
    cameras = (str(words["INSTRUME"]) for words in lights.words.values() if "INSTRUME" in words)
    return LightWords(
        train={keyword: value for keyword, value in train.items() if value is not None},
        camera=_shared("INSTRUME", cameras, _is_equal, notes),
        filters=_filters(setups, filters, notes),
        mosaic=_shared("BAYERPAT", _mosaics(lights), _is_equal, notes),
        notes=tuple(notes),
    )


def _filters(setups: Iterable[FrameSetup], filters: tuple[str, ...] | None, notes: list[str]) -> dict[str, str]:
    """Return the lights' spellings of the wheel's filters, omitting those that look like the wheel's in a header."""
    spellings: dict[str, list[str]] = defaultdict(list)
    for setup in setups:
        name = name_in_wheel(setup.filter_name, filters)
        if name is not None and setup.filter_name is not None:
            spellings[name].append(setup.filter_name)
    shared = {name: _shared("FILTER", each, _is_same_spelling, notes) for name, each in spellings.items()}
    return {
        name: spelling
        for name, spelling in shared.items()
        if spelling is not None and not _is_same_spelling(name, spelling)
    }


def _mosaics(lights: Lights) -> Iterable[MosaicWords]:
    """Yield the colour filter arrays of the unbinned lights. With most cameras, binned pixels mix the colours."""
    for path, setup in lights.setups.items():
        # INDI drivers write the top row first. Lights whose bottom row comes first may have a different first colour.
        is_from_top = setup.row_order in {None, "TOP-DOWN"}
        if setup.mosaic is not None and setup.readout.binning == 1 and is_from_top:
            words = lights.words.get(path, {})
            cards = {keyword: words[keyword] for keyword in MOSAIC_KEYWORDS if keyword in words}
            yield MosaicWords(setup.mosaic, (setup.height, setup.width), cards)


def _shared(keyword: str, values: Iterable[T | None], is_same: Callable[[T, T], bool], notes: list[str]) -> T | None:
    """Return the value of a keyword in the newest light that states it; None if no light does, or the lights differ."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    others = [value for value in known if not is_same(value, known[-1])]
    if not others:
        return known[-1]
    stated = ", ".join(dict.fromkeys(str(value) for value in (*others, known[-1])))
    kept = f"the calibration frames keep the driver's {keyword} and may not fit all lights; use separate folders"
    notes.append(f"the lights differ in {keyword} ({stated}): {kept}")
    return None


def _array(header: Mapping[str, HeaderValue]) -> str | None:
    stated = header.get("BAYERPAT", header.get("COLORTYP"))
    return None if stated is None else str(stated).strip().upper()


def _is_equal(one: T, other: T) -> bool:
    return one == other


def _is_same_text(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()


def _is_same_spelling(one: str, other: str) -> bool:
    """Return whether a header stores two names in the same way."""
    return ascii_text(one).rstrip() == ascii_text(other).rstrip()


def _is_same_length(one: float, other: float) -> bool:
    return abs(one - other) <= Tolerances().focal_length * other
