"""The faults of calibration that can be put into a simulated night, one at a time, each with its strength."""

from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault of the calibration of a night; the constructors say what each fault does.

    Attributes
    ----------
    name
        What is wrong, in the words of the constructors.
    kind
        The kind of finding it should lead to: dust, overcorrection, banding, amp-glow, colour, gradient, offset,
        temperature or masters; empty for a clean night.
    strength
        How strong it is, in `unit`.
    unit
        Unit of the strength.
    angle_deg
        Direction of a shift or a plane, from the x axis towards higher rows.
    diameter_px
        Diameter of a mote.
    power
        Power of the exposure with which glow grows.
    form
        Variant, where a constructor has several.
    told
        True if the headers of the masters tell the truth about it; otherwise they say what the lights' headers say.
    since
        First light that it concerns, for faults of the lights.
    """

    name: str
    kind: str
    strength: float = 0.0
    unit: str = ""
    angle_deg: float = 0.0
    diameter_px: float = 0.0
    power: float = 1.0
    form: str = ""
    told: bool = False
    since: int = 0

    def from_light(self, number: int) -> Self:
        """Return the same fault, but only in the lights from a number on (from 0)."""
        return replace(self, since=number)

    def as_told(self, *, told: bool = True) -> Self:
        """Return the same fault with headers that tell or hide it."""
        return replace(self, told=told)

    def of(self, name: str) -> float:
        """Return the strength if this is the fault of that name, otherwise 0."""
        return self.strength if self.name == name else 0.0

    def __str__(self) -> str:
        parts = [self.name, f"{self.strength:g} {self.unit}".strip(), self.form]
        return " ".join(part for part in parts if part) if self.kind else "none"


def none() -> Fault:
    """Return no fault: a clean night."""
    return Fault(name="none", kind="")


def offset_adu(adu: float) -> Fault:
    """The lights have a level that is higher than the dark's by so many ADU: offset or driver changed."""
    return Fault(name="offset", kind="offset", strength=adu, unit="ADU")


def light_pedestal(fraction: float = 1.0) -> Fault:
    """A fraction of the bias stays in the calibrated lights: the bias of their dark had been subtracted."""
    return Fault(name="light-pedestal", kind="overcorrection", strength=fraction, unit="of bias")


def flat_pedestal(fraction: float) -> Fault:
    """A pedestal of a fraction of their level stays in the flats.

    The flats were calibrated with the bias although their dark flats lie above it by this pedestal (below, if
    negative). The dark flats are at hand; take them out of the masters for a night without dark flats.
    """
    return Fault(name="flat-pedestal", kind="overcorrection", strength=fraction, unit="of flat level")


def unsubtracted_flat() -> Fault:
    """Nothing was subtracted from the flats: the whole bias stays in them."""
    return Fault(name="unsubtracted-flat", kind="overcorrection", strength=1.0, unit="of bias")


def dark_leak_adu(adu: float, *, angle_deg: float = 30.0, form: str = "plane") -> Fault:
    """Light fell on the darks: a plane from 0 to so many ADU, or light with the shape of the flat (`form="flat"`)."""
    return Fault(name="dark-leak", kind="gradient", strength=adu, unit="ADU", angle_deg=angle_deg, form=form)


def lit_dark(adu: float) -> Fault:
    """The darks were shot with an open shutter: light with the shape of the flat, of so many ADU on average."""
    return replace(dark_leak_adu(adu, form="flat"), kind="masters")


def dark_temperature_c(warmer_c: float, *, told: bool = True) -> Fault:
    """The darks were shot warmer than the lights by so many degrees."""
    return Fault(name="dark-temperature", kind="temperature", strength=warmer_c, unit="C", told=told)


def dark_exposure(factor: float, *, told: bool = True) -> Fault:
    """The darks were exposed for so many times the lights' exposure."""
    return Fault(name="dark-exposure", kind="amp-glow", strength=factor, unit="x", told=told)


def dark_scaled(factor: float, *, power: float = 0.5) -> Fault:
    """A dark of so many times the lights' exposure is scaled, but its glow grows with a power of the exposure."""
    return Fault(name="dark-scaled", kind="amp-glow", strength=factor, unit="x", power=power, told=True)


def glow(factor: float) -> Fault:
    """The darks have so many times the glow of the lights, with equal dark current."""
    return Fault(name="glow", kind="amp-glow", strength=factor, unit="x")


def dust_shift_px(px: float, *, angle_deg: float = 0.0, form: str = "all") -> Fault:
    """All shadows are displaced in the lights, or with `form="filter"` only those of dust on the filter."""
    return Fault(name="dust-shift", kind="dust", strength=px, unit="px", angle_deg=angle_deg, form=form)


def dust_rotation_deg(deg: float, *, form: str = "all") -> Fault:
    """All shadows, and the vignetting, are turned about the middle of the field in the lights.

    With `form="filter"` only the dust on the filter, with `form="dust"` only the dust turns.
    """
    return Fault(name="dust-rotation", kind="dust", strength=deg, unit="deg", form=form)


def focus(scale: float) -> Fault:
    """The shadows are so many times as large in the lights, and as much weaker in area."""
    return Fault(name="focus", kind="dust", strength=scale, unit="x")


def new_mote(depth: float, *, diameter_px: float = 12.0) -> Fault:
    """A mote fell after the flats: the lights have a shadow of a depth, and of a diameter, that the flat lacks."""
    return Fault(name="new-mote", kind="dust", strength=depth, unit="deep", diameter_px=diameter_px)


def gone_mote(depth: float, *, diameter_px: float = 12.0) -> Fault:
    """A mote was lost after the flats: the flat has a shadow that the lights lack."""
    return Fault(name="gone-mote", kind="dust", strength=depth, unit="deep", diameter_px=diameter_px)


def other_filter_flat(*, told: bool = False) -> Fault:
    """The flat was shot through another filter: other dust on it, other vignetting and pixel response."""
    return Fault(name="other-filter", kind="dust", strength=1.0, told=told)


def fixed_rows(adu: float) -> Fault:
    """The rows of the dark differ from those of the lights by a fixed pattern of so many ADU rms."""
    return Fault(name="fixed-rows", kind="banding", strength=adu, unit="ADU")


def fixed_columns(adu: float) -> Fault:
    """The columns of the dark differ from those of the lights by a fixed pattern of so many ADU rms."""
    return Fault(name="fixed-columns", kind="banding", strength=adu, unit="ADU")


def row_noise(adu: float) -> Fault:
    """The level of each row of each light varies by so many ADU rms more than in the darks."""
    return Fault(name="row-noise", kind="banding", strength=adu, unit="ADU")


def odd_even(fraction: float) -> Fault:
    """Odd rows of the lights are brighter than even ones by a fraction of the sky, which varies from light to light."""
    return Fault(name="odd-even", kind="banding", strength=fraction, unit="of sky")


def few_darks(number: int) -> Fault:
    """The master dark was made of so few frames."""
    return Fault(name="few-darks", kind="banding", strength=number, unit="frames")


def few_flats(number: int) -> Fault:
    """The master flat was made of so few frames."""
    return Fault(name="few-flats", kind="banding", strength=number, unit="frames")


def gain_mismatch(factor: float, *, told: bool = False) -> Fault:
    """The darks were shot at a gain with so many times the electrons per ADU; their level above 0 is the same."""
    return Fault(name="gain", kind="banding", strength=factor, unit="x", told=told)


def uneven_flat(fraction: float, *, angle_deg: float = 30.0, form: str = "plane") -> Fault:
    """The light of the flats was uneven: a plane, or brighter in the middle (`form="bowl"`), peak to valley."""
    return Fault(name="uneven-flat", kind="gradient", strength=fraction, unit="p-v", angle_deg=angle_deg, form=form)


def colour(fraction: float, *, angle_deg: float = 30.0, form: str = "plane") -> Fault:
    """The flat's shape differs between red and blue by a plane or a bowl of this size, peak to valley (OSC only)."""
    return Fault(name="colour", kind="colour", strength=fraction, unit="p-v", angle_deg=angle_deg, form=form)


def channel_level(fraction: float) -> Fault:
    """The flat's red is too bright and its blue too dark by a fraction: not normalised by colour (OSC only)."""
    return Fault(name="channel-level", kind="colour", strength=fraction, unit="of level")


def smoothed_flat(radius: float, *, form: str = "blur") -> Fault:
    """The flat was smoothed: by a Gaussian of this sigma, or the median of 2 radius + 1 pixels (`form="median"`)."""
    return Fault(name="smoothed-flat", kind="masters", strength=radius, unit="px", form=form)


def cold_dark() -> Fault:
    """The hot pixels of the dark were removed."""
    return Fault(name="dark-without-hot", kind="masters", strength=1.0)


def old_dark(fraction: float) -> Fault:
    """A fraction of the hot pixels differs between the dark and the lights."""
    return Fault(name="old-dark", kind="temperature", strength=fraction, unit="of hot pixels")


def dew(depth: float) -> Fault:
    """Spots of dew dried while the flats were shot, from this depth to nothing."""
    return Fault(name="dew", kind="masters", strength=depth, unit="deep")


def saturated_flat(fraction: float) -> Fault:
    """The flats were so bright that a fraction of their pixels was clipped."""
    return Fault(name="saturated-flat", kind="masters", strength=fraction, unit="of pixels")


def odd_frame(fraction: float) -> Fault:
    """One of the raw flats is brighter by a fraction; the master hardly changes."""
    return Fault(name="odd-frame", kind="masters", strength=fraction, unit="of level")


def must_reach(sky_adu: float, noise_adu: float, *, in_colour: bool = False) -> list[Fault]:
    """Return the faults, at the strengths, that the diagnosis of 12 lights must find in 95 of 100 nights.

    Parameters
    ----------
    sky_adu, noise_adu
        Level of the sky, and noise of a pixel in a light; see `Night`.
    in_colour
        True to include what only a colour camera shows.
    """
    found = [
        offset_adu(0.04 * sky_adu),
        offset_adu(-0.04 * sky_adu),
        flat_pedestal(0.04),
        flat_pedestal(-0.04),
        dark_leak_adu(40),
        dark_temperature_c(0.5),
        dark_temperature_c(-0.5),
        dust_shift_px(6),
        dust_rotation_deg(3),
        focus(1.15),
        focus(0.85),
        new_mote(0.04),
        gone_mote(0.04),
        other_filter_flat(),
        fixed_rows(0.04 * noise_adu),
        fixed_columns(0.04 * noise_adu),
        row_noise(0.12 * noise_adu),
        few_darks(3),
        few_flats(3),
    ]
    return [*found, colour(0.01)] if in_colour else found
