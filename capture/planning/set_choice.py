"""Choose some of the planned sets by kind and by filter or exposure, as in `flats:Ha,OIII`.

This module performs no I/O.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from coldframe.calibration.frames.names import is_same_name
from coldframe.capture.planning.lights_for_rig import RigSnapshot
from coldframe.config.frames import FrameKind
from coldframe.config.settings import Settings
from coldframe.config.tables.sets import FrameSet
from coldframe.errors import ColdframeError

PLURALS = {
    FrameKind.BIAS: "bias",
    FrameKind.DARK: "darks",
    FrameKind.FLAT: "flats",
    FrameKind.DARK_FLAT: "dark-flats",
}
"""The usual spellings of the kinds; the singular forms are also accepted."""

_KINDS = {"biases": FrameKind.BIAS} | {
    word: kind for kind, plural in PLURALS.items() for word in (plural, kind.value, plural.replace("-", " "))
}


class ChoiceError(ColdframeError):
    """A choice of sets does not match the plan. The message is one line that states the reason."""


@dataclass(frozen=True, slots=True)
class SetChoice:
    """A choice of all sets of a kind or, if `name` is given, of the sets with this filter (darks: this exposure)."""

    kind: FrameKind
    name: str | None = None

    def __str__(self) -> str:
        """Return the choice as the user would write it."""
        return PLURALS[self.kind] + ("" if self.name is None else f":{self.name}")

    def includes(self, frame_set: FrameSet) -> bool:
        """Return whether a set is chosen. Case, accents and blanks in the names of filters are ignored."""
        if frame_set.kind is not self.kind:
            return False
        name = name_of(frame_set)
        return self.name is None or (name is not None and is_same_name(name, self.name))


@dataclass(frozen=True, slots=True)
class SetChoices:
    """The choices of one run.

    Attributes
    ----------
    only
        The sets to shoot; empty for all sets.
    skip
        The sets to leave out.
    """

    only: tuple[SetChoice, ...] = ()
    skip: tuple[SetChoice, ...] = ()

    def __bool__(self) -> bool:
        """Return whether the user chose any sets."""
        return bool(self.only or self.skip)

    @property
    def is_only_flats(self) -> bool:
        """True if only flats were chosen, so that no set depends on the sensor temperature."""
        return bool(self.only) and all(choice.kind is FrameKind.FLAT for choice in self.only)

    def of(self, sets: Sequence[FrameSet], settings: Settings, made: Sequence[FrameSet] = ()) -> tuple[FrameSet, ...]:
        """Return the chosen sets and the dark flats or bias frames that chosen flats need, in the order of `sets`.

        Parameters
        ----------
        sets
            All planned sets.
        settings
            Settings of the rig.
        made
            Sets for which the library already has masters. They do not depend on other sets.

        Raises
        ------
        ChoiceError
            If a choice matches no set, if no set is left, or if nothing is left to subtract from the chosen flats.
        """
        for option, choices in (("--only", self.only), ("--skip", self.skip)):
            for choice in choices:
                _require_fit(option, choice, sets)
        not_skipped = [each for each in sets if not any(choice.includes(each) for choice in self.skip)]
        chosen = [each for each in not_skipped if not self.only or any(choice.includes(each) for choice in self.only)]
        for flat in [each for each in chosen if each.kind is FrameKind.FLAT and each not in made]:
            subtracted = subtracted_sets(flat, not_skipped, settings)
            if not subtracted and subtracted_sets(flat, sets, settings):
                raise ChoiceError(f"--skip leaves neither dark flats nor bias frames for {_title(flat)}")
            chosen += subtracted
        orphans = [
            each for each in chosen if each.kind is FrameKind.DARK_FLAT and not _flats_of(each, chosen, settings)
        ]
        left = tuple(each for each in sets if each in chosen and each not in orphans)
        if not left and self:
            raise ChoiceError("--only and --skip leave no set to shoot")
        return left


def parsed_choices(option: str, texts: Sequence[str]) -> tuple[SetChoice, ...]:
    """Return the choices in the arguments of an option.

    Parameters
    ----------
    option
        Name of the option, for messages.
    texts
        Kinds, each optionally followed by filters or exposures, as in ``flats:Ha,OIII,darks:300,bias``.

    Raises
    ------
    ChoiceError
        If a word is not a kind of set.
    """
    return tuple(choice for text in texts for choice in _parsed(option, text))


def _parsed(option: str, text: str) -> Iterator[SetChoice]:
    listed: FrameKind | None = None
    for item in text.split(","):
        word, colon, name = (part.strip() for part in item.partition(":"))
        kind = _KINDS.get(word.casefold())
        if kind is not None:
            listed = kind if colon else None
            yield SetChoice(kind, name if colon else None)
        elif listed is not None:
            yield SetChoice(listed, item.strip())
        else:
            raise ChoiceError(f"{option} {text}: {word!r} is not a kind of set; choices: {', '.join(PLURALS.values())}")


def _require_fit(option: str, choice: SetChoice, sets: Sequence[FrameSet]) -> None:
    """Check that a choice matches a planned set.

    Raises
    ------
    ChoiceError
        If the choice matches no set, or if ``--only`` chooses dark flats, which depend on their flats.
    """
    if option == "--only" and choice.kind is FrameKind.DARK_FLAT:
        raise ChoiceError(f"--only {choice}: dark flats have the same exposure as their flats, so choose flats instead")
    if any(choice.includes(each) for each in sets):
        return
    names = dict.fromkeys(f"{name_of(each)}" for each in sets if each.kind is choice.kind and name_of(each))
    if names and choice.name is not None:
        what = "exposure" if choice.kind is FrameKind.DARK else "filter"
        raise ChoiceError(f"{option} {choice}: the plan has no such {what}; choices: {', '.join(names)}")
    kinds = dict.fromkeys(PLURALS[each.kind] for each in sets)
    raise ChoiceError(f"{option} {choice}: the plan has no such set; choices: {', '.join(kinds) or 'none'}")


def name_of(frame_set: FrameSet) -> str | None:
    """Return the name that selects a set among the sets of its kind: the filter, or the exposure for darks."""
    return frame_set.filter if frame_set.exposure_s is None else f"{frame_set.exposure_s:g}"


def subtracted_sets(flat: FrameSet, sets: Sequence[FrameSet], settings: Settings) -> list[FrameSet]:
    """Return the sets to subtract from flats: dark flats or, if there are none or the settings require it, the bias."""
    dark_flats = _alike(flat, FrameKind.DARK_FLAT, sets, settings)
    dark_flats = [each for each in dark_flats if each.filter == flat.filter]
    if dark_flats and settings.flats.pedestal != "bias":
        return dark_flats
    return _alike(flat, FrameKind.BIAS, sets, settings)


def _flats_of(dark_flat: FrameSet, sets: Sequence[FrameSet], settings: Settings) -> list[FrameSet]:
    flats = _alike(dark_flat, FrameKind.FLAT, sets, settings)
    return [each for each in flats if each.filter == dark_flat.filter]


def _alike(like: FrameSet, kind: FrameKind, sets: Sequence[FrameSet], settings: Settings) -> list[FrameSet]:
    """Return the sets of a kind that have the camera settings and the setpoint of the given set."""
    camera = settings.camera
    wanted = like.readout(camera), like.setpoint(camera)
    return [each for each in sets if each.kind is kind and (each.readout(camera), each.setpoint(camera)) == wanted]


def is_cold(rig: RigSnapshot, settings: Settings) -> bool:
    """Return whether the cooler is on or, if its state is unknown, whether the sensor is colder than `warm_to_c`."""
    if rig.cooler_on is not None:
        return rig.cooler_on
    return rig.sensor_c is None or rig.sensor_c < settings.cooling.warm_to_c


def without_setpoints(settings: Settings) -> Settings:
    """Return the settings without setpoints: sets are shot at any temperature, and the cooler is left alone."""
    sets = tuple(each.model_copy(update={"setpoint_c": None}) for each in settings.sets)
    camera = settings.camera.model_copy(update={"setpoint_c": None})
    return settings.model_copy(update={"sets": sets, "camera": camera})


def _title(frame_set: FrameSet) -> str:
    return " ".join(filter(None, [PLURALS[frame_set.kind], frame_set.filter]))
