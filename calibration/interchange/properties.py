"""A table of the properties that must be the same for frames that are stacked together."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from coldframe.calibration.frames.names import comparable, is_same_camera
from coldframe.calibration.frames.rules import Tolerances
from coldframe.calibration.frames.setup import REACHED_C, SAME_EXPOSURE, FrameSetup
from coldframe.config.angles import degrees_apart
from coldframe.config.frames import FrameKind

_ALL = frozenset(FrameKind)
_WITHOUT_LIGHT = frozenset({FrameKind.BIAS, FrameKind.DARK, FrameKind.DARK_FLAT})
_EXPOSED = frozenset({FrameKind.DARK, FrameKind.DARK_FLAT, FrameKind.LIGHT})
_OF_LIGHT = frozenset({FrameKind.FLAT, FrameKind.LIGHT})


@dataclass(frozen=True, slots=True)
class Property:
    """A property of frames.

    Attributes
    ----------
    name
        Display name.
    kinds
        Kinds of frames for which the property matters.
    value
        Function that returns the value of the property in a setup, or None if it is missing.
    text
        Function that returns a value as text.
    equal
        Function that returns whether two values are equal.
    """

    name: str
    kinds: frozenset[FrameKind]
    value: Callable[[FrameSetup], object | None]
    text: Callable[[object], str] = str
    equal: Callable[[object, object], bool] = lambda one, other: one == other

    def distinct(self, setups: Iterable[FrameSetup]) -> list[str]:
        """Return the distinct values in setups, as text; missing values are ignored."""
        found: list[object] = []
        for setup in setups:
            value = self.value(setup)
            if value is not None and not any(self.equal(value, other) for other in found):
                found.append(value)
        return [self.text(value) for value in found]


def _within(relative: float, absolute: float) -> Callable[[object, object], bool]:
    def equal(one: object, other: object) -> bool:
        assert isinstance(one, int | float)
        assert isinstance(other, int | float)
        return abs(one - other) <= max(absolute, relative * max(abs(one), abs(other)))

    return equal


def _number(unit: str) -> Callable[[object], str]:
    return lambda value: f"{value:g}{unit}"


def _same_angle(one: object, other: object) -> bool:
    assert isinstance(one, int | float)
    assert isinstance(other, int | float)
    return degrees_apart(one, other) <= Tolerances().rotation_deg


PROPERTIES = (
    Property("camera", _ALL, lambda setup: setup.camera, equal=lambda one, other: is_same_camera(str(one), str(other))),
    Property("gain", _ALL, lambda setup: setup.readout.gain, _number("")),
    Property("offset", _ALL - {FrameKind.FLAT}, lambda setup: setup.readout.offset, _number("")),
    Property("readout mode", _ALL, lambda setup: setup.readout.readout_mode),
    Property("binning", _ALL, lambda setup: setup.readout.binning, _number("x")),
    Property("size", _ALL, lambda setup: f"{setup.width} x {setup.height}"),
    Property(
        "exposure",
        _EXPOSED,
        lambda setup: setup.exposure_s,
        _number(" s"),
        # Tighter than for sets from one camera, because the dark flats of two filters may differ by only 0.05 s.
        _within(SAME_EXPOSURE, 0.001),
    ),
    Property("temperature", _WITHOUT_LIGHT, lambda setup: setup.temperature_c, _number(" C"), _within(0, REACHED_C)),
    Property(
        "filter",
        _OF_LIGHT,
        lambda setup: setup.filter_name or "none",
        equal=lambda one, other: comparable(str(one)) == comparable(str(other)),
    ),
    Property("rotator angle", _OF_LIGHT, lambda setup: setup.train.rotation_deg, _number(" deg"), _same_angle),
    Property("colour filter array", _OF_LIGHT, lambda setup: setup.mosaic or "none"),
    Property("row order", _ALL, lambda setup: setup.row_order),
    Property("purpose", _ALL, lambda setup: setup.kind),
    Property("bias", _ALL, lambda setup: "subtracted" if setup.bias_subtracted else "contained"),
    Property("overscan", _ALL, lambda setup: "subtracted" if setup.overscan is not None else "not subtracted"),
)
