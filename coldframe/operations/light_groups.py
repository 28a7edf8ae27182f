"""Find the specified lights, and group them by their masters; all operations on lights use these functions."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from coldframe.calibration.combining.finding import find_files
from coldframe.calibration.files.durable import NotDurableError
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.image_header import without_packed_copies
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.calibration.lights.arithmetic import MismatchError
from coldframe.calibration.lights.recipe import LightRecipe, NoMasterError
from coldframe.operations.reports import Reports, reason_of

FAULTS = (FrameFileError, NotDurableError, MismatchError, NoMasterError, OSError, MemoryError)
"""Errors that concern a single light or its masters."""


@dataclass(frozen=True, slots=True)
class Light:
    """A light and its recipe."""

    path: Path
    setup: FrameSetup
    recipe: LightRecipe


@dataclass(slots=True)
class LightGroup:
    """Lights that use the same masters."""

    recipe: LightRecipe
    lights: list[Light] = field(default_factory=list)

    @property
    def paths(self) -> list[Path]:
        """Files of the lights."""
        return [light.path for light in self.lights]


@dataclass(slots=True)
class Grouping:
    """The lights grouped by masters, and the lights that cannot be used.

    Attributes
    ----------
    groups
        Groups of lights, in the order of their first lights.
    without_master
        Lights without a matching master, by error message: the error, the setup of the first light, and all paths.
    faults
        Lights that cannot be read, each with the error.
    """

    groups: list[LightGroup] = field(default_factory=list)
    without_master: dict[str, tuple[NoMasterError, FrameSetup, list[Path]]] = field(default_factory=dict)
    faults: list[tuple[Path, Exception]] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Number of lights that cannot be used."""
        return len(self.faults) + sum(len(paths) for _, _, paths in self.without_master.values())


def find_lights(names: Sequence[str], reports: Reports) -> list[Path]:
    """Return the specified lights; leave out and report compressed copies of other lights.

    Raises
    ------
    NothingFoundError
        If a name matches no file.
    """
    lights, copies = without_packed_copies(find_files(names))
    if copies:
        reports.notice(f"{len(copies)} compressed copies of other lights are left out, such as {copies[0]}")
    return lights


def grouped(
    paths: Iterable[Path],
    setup_of_light: Callable[[Path], FrameSetup],
    recipe_for_light: Callable[[Path, FrameSetup], LightRecipe],
    key: Callable[[Light], Hashable] = lambda light: light.recipe,
) -> Grouping:
    """Group lights by their recipes, so that each master is read once.

    Parameters
    ----------
    paths
        The lights.
    setup_of_light
        Reads the setup of a light.
    recipe_for_light
        Chooses the masters for a light.
    key
        Returns equal values for lights of the same group; their recipes must also be equal.
    """
    found = Grouping()
    groups: dict[Hashable, LightGroup] = {}
    for path in paths:
        try:
            setup = setup_of_light(path)
        except FAULTS as error:
            found.faults.append((path, error))
            continue
        try:
            light = Light(path, setup, recipe_for_light(path, setup))
        except NoMasterError as error:
            found.without_master.setdefault(str(error), (error, setup, []))[2].append(path)
        except FAULTS as error:
            found.faults.append((path, error))
        else:
            groups.setdefault(key(light), LightGroup(light.recipe)).lights.append(light)
    found.groups = list(groups.values())
    return found


def named(lights: Sequence[Path]) -> str:
    """Return the name of the first file and the number of other files, as text."""
    others = len(lights) - 1
    return f"{lights[0]}" + (f" and {others} {'other' if others == 1 else 'others'}" if others else "")


def fault_text(lights: Sequence[Path], error: Exception, more: str = "") -> str:
    """Return a line with an error and the names of the lights that it concerns."""
    text = reason_of(error) + more
    return text if str(lights[0]) in text else f"{named(lights)}: {text}"
