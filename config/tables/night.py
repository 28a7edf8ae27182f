"""The [storage], [site], [hooks], [watch] and [verify] tables."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from coldframe.config.section import AbsolutePath, Section

Command = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(strict=False, min_length=1)]


Commands = Annotated[tuple[Command, ...], Field(strict=False)]


OneCommand = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(strict=False)]


class StorageSettings(Section):
    """The folder in which frames and masters are stored."""

    folder: AbsolutePath = Field(
        default=Path("~/coldframe"),
        validate_default=True,
        description="Folder that contains a folder for each night; ~ is the home folder. Nothing in it is ever "
        "deleted.",
    )


class SiteSettings(Section):
    """The telescope's position, from which coldframe computes sunrise without a network connection."""

    latitude_deg: float = Field(ge=-90, le=90, description="Latitude in degrees, north positive.")
    longitude_deg: float = Field(ge=-180, le=180, description="Longitude in degrees, east positive.")


class HookSettings(Section):
    """Commands to run before the night and after the rig has been made safe, for example to close the roof."""

    before: Commands = Field(
        default=(),
        description="Commands to run in this order before anything moves, without a shell. If one fails, the night "
        "does not start.",
    )
    after: Commands = Field(
        default=(),
        description="Commands to run in this order after the safe state, however the night ended. Failures are "
        "reported.",
    )
    power_cycle: OneCommand = Field(
        default=(),
        description="Command that switches the camera's power off and on again, without a shell. It runs at most "
        "twice a night, if neither aborting the exposure nor reconnecting the driver helps.",
    )
    deadline_s: float = Field(
        default=120.0,
        ge=1,
        le=3600,
        description="Maximum time for each command; after that, the command is terminated.",
    )


class WatchSettings(Section):
    """The actions that dashboards attached with `coldframe watch` may take."""

    allow_commands: bool = Field(
        default=False,
        description="Whether attached dashboards may pause or abort the night, and skip sets. The run's own "
        "dashboard may always do so.",
    )


class VerifySettings(Section):
    """Settings for the diagnosis of the night's lights, before the night ends."""

    lights: bool = Field(
        default=True,
        description="With `--lights`, calibrate up to twelve lights of each set, and two flats of each flat set, with "
        "tonight's masters as soon as these exist, and report whether they calibrate cleanly. If the master of a set "
        "is the cause of a problem, the set is shot again, provided that this helps and time allows.",
    )
