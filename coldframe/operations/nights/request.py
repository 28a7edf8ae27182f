"""The night that a user requests, and the sets that it shoots."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from coldframe.calibration.frames.names import under_one_name
from coldframe.calibration.library.library import LIBRARY, Library
from coldframe.capture.planning import sun
from coldframe.capture.planning.light_noise import light_noises
from coldframe.capture.planning.light_words import LightWords, light_words
from coldframe.capture.planning.lights_for_rig import RigSnapshot, with_configured_filters
from coldframe.capture.planning.read_lights import Lights, read_lights
from coldframe.capture.planning.set_choice import SetChoices, is_cold, parsed_choices, without_setpoints
from coldframe.capture.planning.sets_for_lights import LightsPlan, plan_for_lights
from coldframe.config.examples import example_night
from coldframe.config.loading import ConfigError, Problem, find_config, load_settings
from coldframe.config.settings import Settings

UNCOOLED = "the cooler is off, and flats need no cooling: they are shot at the current temperature of the sensor"

NOTHING_TO_SHOOT = "nothing to shoot: the library has everything that these lights need; use --redo to shoot it again"

SIMULATED_NIGHTS = Path("~/coldframe-simulated")
"""Default folder for simulated nights; it keeps simulated frames apart from real ones."""


@dataclass(frozen=True, slots=True)
class NightRequest:
    """The night that a user or a program requests.

    Attributes
    ----------
    config
        Configuration file; by default, the user's configuration.
    simulate
        Name or file of a simulated rig; None for the real rig.
    folder
        Folder for the night's files; by default, the configured folder.
    lights
        Folder of the lights that need calibration frames; None to shoot the configured sets.
    until
        Local time of day by which the last frame must be complete; None to use sunrise if a site is configured.
    only, skip
        Sets to shoot and to leave out, in the form that `parsed_choices` reads. If both are empty, all sets are shot.
    redo
        True to shoot sets even if the library has recent masters for them, or an earlier run has shot their frames.
    """

    config: Path | None = None
    simulate: str | None = None
    folder: Path | None = None
    lights: Path | None = None
    until: datetime | None = None
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    redo: bool = False

    @property
    def choices(self) -> SetChoices:
        """The chosen sets.

        Raises
        ------
        ChoiceError
            If a word is not a kind of set.
        """
        return SetChoices(parsed_choices("--only", self.only), parsed_choices("--skip", self.skip))

    def settings(self) -> Settings:
        """Read the configuration; for a simulated rig without a configuration, read its example night.

        Raises
        ------
        ConfigError
            If the configuration is invalid, or it contains no sets and no lights are given.
        ChoiceError
            If the chosen sets are not configured. With lights, `plan_for` checks the choice.
        """
        path = self.config or (example_night(self.simulate) if self.simulate else find_config())
        settings = load_settings(path)
        if not settings.sets and self.lights is None:
            text = "missing; allowed: one or more [[sets]] tables, or the option --lights FOLDER"
            raise ConfigError(path, [Problem(None, "sets", text)])
        choices = self.choices
        if choices and self.lights is None:
            settings = settings.model_copy(update={"sets": choices.of(settings.sets, settings)})
        folder = self.folder
        if folder is None and self.simulate and not self.config:
            folder = SIMULATED_NIGHTS.expanduser()
        if folder is None:
            return settings
        storage = settings.storage.model_copy(update={"folder": folder.absolute()})
        return settings.model_copy(update={"storage": storage})

    def deadline(self, settings: Settings, asked: datetime, now: datetime) -> datetime | None:
        """Return the time by which the last frame must be complete; None if there is no deadline.

        `until` means the next occurrence of this time after the start of the command. The deadline may therefore pass
        while the command waits for the end of the imaging session.
        """
        if self.until is None:
            return None if settings.site is None else sun.next_rise(now, settings.site)
        # Drop the UTC offset, because it may change during the night.
        local = asked.astimezone().replace(tzinfo=None)
        wanted = local.replace(hour=self.until.hour, minute=self.until.minute, second=0, microsecond=0)
        return (wanted if wanted > local else wanted + timedelta(days=1)).astimezone()


@dataclass(frozen=True, slots=True)
class NightPlan:
    """The sets that a night will shoot.

    Attributes
    ----------
    settings
        Settings with the sets to shoot.
    lights
        Lights that need the sets; None if the configured sets are shot.
    for_lights
        Masters that the lights need; None if the configured sets are shot.
    words
        Names from the lights' headers that are written to the headers of the night's frames.
    is_uncooled
        True if the flats are shot without cooling, because the cooler is off and no other set needs cooling.
    """

    settings: Settings
    lights: Lights | None = None
    for_lights: LightsPlan | None = None
    words: LightWords = field(default_factory=LightWords)
    is_uncooled: bool = False

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user about skipped files and assumptions."""
        uncooled = (UNCOOLED,) if self.is_uncooled else ()
        if self.lights is None or self.for_lights is None:
            return uncooled
        return (*_set_aside(self.lights), *self.for_lights.notes, *self.words.notes, *uncooled)


def plan_for(settings: Settings, request: NightRequest, rig: RigSnapshot | None = None) -> NightPlan:
    """Return the plan for the chosen configured sets, or for the sets that the requested lights need.

    Raises
    ------
    NoLightsError
        If the folder of the lights contains no lights.
    ChoiceError
        If the lights do not need the chosen sets.
    """
    plan = NightPlan(settings) if request.lights is None else _plan_for_lights(settings, request, request.lights, rig)
    if not request.choices.is_only_flats or rig is None or is_cold(rig, settings):
        return plan
    return replace(plan, settings=without_setpoints(plan.settings), is_uncooled=True)


def _plan_for_lights(
    settings: Settings, request: NightRequest, lights_folder: Path, rig: RigSnapshot | None
) -> NightPlan:
    lights = read_lights(lights_folder, settings.camera_names)
    lights = replace(lights, noises=light_noises(lights, settings))
    setups = {} if request.redo else Library(settings.storage.folder / LIBRARY).catalogue().setups
    masters = {path: under_one_name(setup, settings.camera_names) for path, setup in setups.items()}
    for_lights = plan_for_lights(lights, masters, settings, rig)
    if choices := request.choices:
        sets, made = ([need.frame_set for need in needs] for needs in (for_lights.needs, for_lights.from_library))
        chosen = choices.of(sets, settings, made)
        for_lights = replace(for_lights, needs=tuple(need for need in for_lights.needs if need.frame_set in chosen))
    words = light_words(lights, with_configured_filters(rig or RigSnapshot(), settings).filters)
    return NightPlan(settings.model_copy(update={"sets": for_lights.sets}), lights, for_lights, words)


def _set_aside(lights: Lights) -> Iterator[str]:
    for reason, count in lights.set_aside.items():
        yield f"skipped: {count} {'file' if count == 1 else 'files'} {reason}"
    for fault in lights.faults[:3]:
        yield f"skipped: {fault}"
    if len(lights.faults) > 3:  # noqa: PLR2004 - three show the problem
        yield f"skipped: {len(lights.faults) - 3} more unreadable files"
