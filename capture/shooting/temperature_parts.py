"""Darks of a sensor whose temperature nothing holds: one set becomes several masters, each of one temperature."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from coldframe.calibration.files.frame_file import FrameFileError, read_header
from coldframe.calibration.frames.setup import setup_of
from coldframe.capture.shooting.set_inputs import Recipe, ShotSet
from coldframe.capture.steps import ShootStep
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.capture.storage.saved_frames import Wanted

MOST_NAMED = 999
"""Frames that a master's header can name."""

Shoot = Callable[[ShootStep, Recipe], Awaitable[ShotSet]]


async def in_parts(step: ShootStep, recipe: Recipe, shoot: Shoot) -> ShotSet:
    """Shoot a set, and what is left of it anew whenever the sensor has left its temperature.

    Returns
    -------
    ShotSet
        The last part, with the frames of all.
    """
    shot = await shoot(step, recipe)
    frames = shot.frames
    while shot.has_drifted:
        shot = await shoot(replace(step, count=step.count - frames), replace(recipe, shot_before=frames))
        frames += shot.frames
    return replace(shot, frames=frames)


def made_already(folder: NightFolder, step: ShootStep, camera: str) -> frozenset[str]:
    """Return the names of those frames of a set of which an earlier run of the night has made masters.

    Where one part ended and the next began the temperature decided, and how fast the frames came in: that is not
    decided again.
    """
    wanted, names = Wanted.of(step, camera, step.exposure_s), set[str]()
    for path in folder.masters():
        try:
            header = read_header(path)
        except FrameFileError:
            continue
        if wanted.includes(setup_of(header), header):
            inputs = (header.get(f"IMCOM{number:03d}") for number in range(1, MOST_NAMED + 1))
            names |= {str(name) for name in inputs if name is not None}
    return frozenset(names)
