"""Choose the masters that calibrate a set of lights, preferring this night's masters to those in the library."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from coldframe.calibration.frames.matching import best_master, subtraction_faults
from coldframe.calibration.frames.names import under_one_name
from coldframe.calibration.frames.setup import FrameSetup, setup_of
from coldframe.calibration.library.library import LIBRARY, Library
from coldframe.calibration.lights.recipe import NoMasterError, Subtract, recipe_for
from coldframe.calibration.masters.reading import read_master_header
from coldframe.config.frames import FrameKind


@dataclass(frozen=True, slots=True)
class ChosenMasters:
    """Paths of the masters that calibrate lights.

    The bias serves only to distinguish an offset from dark current. It is None if there is no matching bias.
    """

    dark: Path
    flat: Path
    bias: Path | None

    @property
    def paths(self) -> tuple[Path, ...]:
        """Paths of all these masters."""
        return (self.dark, self.flat) if self.bias is None else (self.dark, self.flat, self.bias)


@dataclass(slots=True)
class MastersAtHand:
    """The night's masters so far, and those in the library. The methods read files, so call them in threads.

    Attributes
    ----------
    storage
        Folder that contains all nights and the library.
    camera_names
        Names of the camera, the driver's name first.
    """

    storage: Path
    camera_names: Sequence[str]
    _made: dict[Path, set[int]] = field(default_factory=dict)
    _setups: dict[Path, FrameSetup] = field(default_factory=dict)

    def add(self, path: Path, step: int) -> None:
        """Add a master that the given step has made. Two steps can share a master dark flat."""
        self._made.setdefault(path, set()).add(step)

    def drop(self, step: int) -> tuple[Path, ...]:
        """Remove the masters of a step whose set is shot again, and return their paths."""
        dropped = tuple(path for path, steps in self._made.items() if step in steps)
        for path in dropped:
            self._made[path].discard(step)
            if not self._made[path]:
                del self._made[path]
        return dropped

    def step_of(self, path: Path) -> int | None:
        """Return the number of the last step that made a master; None for a master from the library."""
        return max(self._made[path]) if path in self._made else None

    def retire(self, paths: Sequence[Path]) -> None:
        """Move the library's copies of dropped masters aside, because new masters have replaced these masters.

        The copies of masters that other steps still use stay in place.

        Raises
        ------
        NotDurableError
            If a copy could not be moved.
        FrameFileError
            If a master cannot be read.
        """
        library = Library(self.storage / LIBRARY)
        for path in paths:
            if path not in self._made:
                library.retire(library.file(path))

    def choose(self, light: FrameSetup, *, with_library: bool) -> ChosenMasters | None:
        """Return the masters for a light; None if a dark or a flat is missing, or if neither is from this night.

        Parameters
        ----------
        light
            Setup of the light, with the driver's name for the camera.
        with_library
            True to use masters from the library in place of masters that the night does not make.

        Raises
        ------
        FrameFileError, OSError
            If a master or the library cannot be read.
        """
        masters = {path: self._setup(path) for path in self._made}
        if with_library:
            every = Library(self.storage / LIBRARY).catalogue().setups
            named = {path: self._named(setup) for path, setup in every.items()}
            own = list(masters.values())  # copies of these masters are in the library
            masters |= {path: setup for path, setup in named.items() if setup not in own}
        try:
            recipe = recipe_for(light, masters, Subtract.DARK, with_flat=True)
        except NoMasterError:
            return None
        assert recipe.dark is not None
        assert recipe.flat is not None
        if not {recipe.dark, recipe.flat} & self._made.keys():
            return None
        treated = light.without(recipe.overscan)
        bias = recipe.bias or best_master(treated, masters, FrameKind.BIAS).path
        return ChosenMasters(recipe.dark, recipe.flat, bias)

    def subtracted_from(self, flat: Path) -> Path | None:
        """Return the master of this night to subtract from a raw flat: a dark flat or, failing that, a bias.

        Return None if no such master matches the flat.

        Raises
        ------
        FrameFileError
            If a file cannot be read.
        """
        frame = self._named(setup_of(read_master_header(flat)))
        for kind in (FrameKind.DARK_FLAT, FrameKind.BIAS):
            for path in reversed(self._made):
                master = self._setup(path)
                if master.kind is kind and not subtraction_faults(frame, master):
                    return path
        return None

    def _setup(self, path: Path) -> FrameSetup:
        if path not in self._setups:
            self._setups[path] = self._named(setup_of(read_master_header(path)))
        return self._setups[path]

    def _named(self, setup: FrameSetup) -> FrameSetup:
        return under_one_name(setup, self.camera_names)
