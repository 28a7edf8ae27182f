"""The combinations of masters that a bisection tries: every sensible way to subtract and to divide."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from coldframe.calibration.diagnosis.bisection import Part, Use
from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.frames.matching import subtraction_faults
from coldframe.calibration.frames.setup import SAME_EXPOSURE, FrameSetup
from coldframe.calibration.lights.caveats import flat_level_adu
from coldframe.config.frames import FrameKind

Header = Mapping[str, HeaderValue]

LETTERS = {FrameKind.DARK: "D", FrameKind.FLAT: "F", FrameKind.BIAS: "B", FrameKind.DARK_FLAT: "K"}
"""Letter for each kind of master in short texts."""

_LEAST_SCALE, _MOST_SCALE = 0.1, 10.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A master that fits the lights.

    Attributes
    ----------
    path
        File of the master.
    setup
        Setup of the master.
    header
        Values of the header cards.
    key
        Letter for the kind, and a number, such as "D2".
    name
        Text for sentences, such as "the dark of 2026-11-14 (D2)".
    """

    path: Path
    setup: FrameSetup
    header: Header
    key: str
    name: str


@dataclass(frozen=True, slots=True)
class Candidates:
    """The masters that fit the lights, the newest first."""

    darks: tuple[Candidate, ...] = ()
    flats: tuple[Candidate, ...] = ()
    biases: tuple[Candidate, ...] = ()
    dark_flats: tuple[Candidate, ...] = ()

    @property
    def all(self) -> tuple[Candidate, ...]:
        """All masters."""
        return (*self.darks, *self.flats, *self.biases, *self.dark_flats)


@dataclass(frozen=True, slots=True)
class DarkWay:
    """A way to subtract the dark.

    Attributes
    ----------
    part
        The texts that describe this way, and how the master is used.
    dark, bias
        The masters; None for masters that are not used.
    scale
        Factor by which the dark current is scaled.
    """

    part: Part
    dark: Candidate | None
    bias: Candidate | None
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class FlatWay:
    """A way to divide by the flat.

    Attributes
    ----------
    part
        The texts that describe this way, and how the master is used.
    flat
        The flat; None if the lights are not divided.
    subtracted
        Master that was subtracted from the frames of the flat and is to be replaced; None if no master was subtracted,
        or if none is to be replaced.
    replacement
        The master to subtract instead; None to divide by the flat as it was combined.
    """

    part: Part
    flat: Candidate | None
    subtracted: Candidate | None = None
    replacement: Candidate | None = None


def candidates_of(masters: Iterable[tuple[Path, FrameSetup, Header]]) -> Candidates:
    """Give masters keys and names, and return them by kind, the newest first; masters of unknown kind are left out."""
    by_kind: dict[FrameKind, list[tuple[Path, FrameSetup, Header]]] = {kind: [] for kind in LETTERS}
    for path, setup, header in masters:
        if setup.kind in by_kind:
            by_kind[setup.kind].append((path, setup, header))
    return Candidates(
        *(
            tuple(_named(by_kind[kind], kind))
            for kind in (FrameKind.DARK, FrameKind.FLAT, FrameKind.BIAS, FrameKind.DARK_FLAT)
        )
    )


def _named(masters: Sequence[tuple[Path, FrameSetup, Header]], kind: FrameKind) -> Iterator[Candidate]:
    ordered = sorted(masters, key=lambda each: (_taken(each[1]), each[0].name), reverse=True)
    for number, (path, setup, header) in enumerate(ordered, start=1):
        key = f"{LETTERS[kind]}{number}"
        date = "" if setup.taken_at is None else f" of {setup.taken_at:%Y-%m-%d}"
        yield Candidate(path, setup, header, key, f"the {kind.value.replace('-', ' ')}{date} ({key})")


def _taken(setup: FrameSetup) -> float:
    return 0.0 if setup.taken_at is None else setup.taken_at.timestamp()


def dark_ways(light: FrameSetup, found: Candidates) -> list[DarkWay]:
    """Return the ways to subtract: each dark as it is, each dark scaled, and each bias alone.

    A dark is scaled if its exposure differs from that of the lights and if there is a bias. Without darks and biases,
    the only way is to subtract nothing.
    """
    ways: list[DarkWay] = []
    for dark in found.darks:
        if dark.setup.bias_subtracted:
            # Without a bias, the bias level would remain in the lights.
            ways += [_dark_way(dark, bias, 1.0) for bias in found.biases]
        else:
            ways.append(_dark_way(dark, None, 1.0))
        scale = _scale(light, dark.setup)
        if scale is not None:
            ways += [_dark_way(dark, bias, scale) for bias in found.biases[:1]]
    for bias in found.biases:
        ways.append(DarkWay(Part(f"{bias.key} alone", f"{bias.name} alone", use=Use.LEFT_OUT), None, bias))
    return ways or [DarkWay(Part("no dark", "no dark", use=Use.LEFT_OUT), None, None)]


def _dark_way(dark: Candidate, bias: Candidate | None, scale: float) -> DarkWay:
    scaled = "" if scale == 1 else f" scaled by {scale:.2g}"
    with_bias = "" if bias is None else f" with {bias.key}"
    use = Use.CHANGED if scaled else Use.AS_MADE
    return DarkWay(Part(f"{dark.key}{scaled}{with_bias}", f"{dark.name}{scaled}{with_bias}", use), dark, bias, scale)


def _scale(light: FrameSetup, dark: FrameSetup) -> float | None:
    """Return the factor that scales a dark to the exposure of the lights; None if it need not or cannot be scaled."""
    if not light.exposure_s or not dark.exposure_s:
        return None
    scale = light.exposure_s / dark.exposure_s
    return scale if abs(scale - 1) > SAME_EXPOSURE and _LEAST_SCALE <= scale <= _MOST_SCALE else None


def flat_ways(found: Candidates) -> list[FlatWay]:
    """Return the ways to divide by the flats as they were combined; without flats, the only way is not to divide."""
    ways = [FlatWay(Part(flat.key, flat.name), flat) for flat in found.flats]
    return ways or [FlatWay(Part("no flat", "no flat", use=Use.LEFT_OUT), None)]


def other_flat_ways(found: Candidates) -> list[FlatWay]:
    """Return further ways to divide: by flats with a different dark flat or bias subtracted, and not at all.

    Without flats, the result is empty. A flat can be changed only if its header states its level, and if the master
    that was subtracted, if any, is available. Flats with an overscan cannot be changed. Flats from a sensor with a
    colour filter array cannot be changed either, because their colours were scaled separately.
    """
    if not found.flats:
        return []
    ways = [way for flat in found.flats for way in _subtracted_again(flat, (*found.dark_flats, *found.biases))]
    return [*ways, FlatWay(Part("no flat", "no flat", use=Use.LEFT_OUT), None)]


def _subtracted_again(flat: Candidate, masters: Sequence[Candidate]) -> Iterator[FlatWay]:
    if flat.setup.mosaic is not None or flat.setup.overscan is not None or flat_level_adu(flat.header) is None:
        return
    name = flat.header.get("CFSUBTR")
    subtracted = next((each for each in masters if each.path.name == name), None)
    if name is not None and subtracted is None:
        return
    before = "nothing" if subtracted is None else subtracted.key
    for master in masters:
        if master is not subtracted and not subtraction_faults(flat.setup, master.setup):
            change = f" with {master.key} instead of {before}"
            yield FlatWay(Part(flat.key + change, flat.name + change, Use.CHANGED), flat, subtracted, master)
