"""Split the darks of a sensor without temperature control into several masters, each at one temperature."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from coldframe.calibration.files.frame_file import read_header
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.keywords import frame_names, in_drivers_words
from coldframe.calibration.frames.setup import setup_of
from coldframe.capture.shooting.set_inputs import DarkInputs, SetInputs, ShotSet
from coldframe.capture.steps import ShootStep
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.capture.storage.saved_frames import Wanted

WIDEST_BIN_C = 2.0
"""Width of one master's temperature range. Within it, the dark current differs from its mean by at most an eighth."""

LEAST_PART = 5
"""Minimum number of frames on either side of a split; outliers cannot be clipped from fewer frames."""

Shoot = Callable[[ShootStep, SetInputs], Awaitable[ShotSet]]


def has_left_bin(sensor_c: Sequence[float], missing: int) -> bool:
    """Return whether the sensor has left one master's temperature range and there are enough frames for two masters.

    Parameters
    ----------
    sensor_c
        Sensor temperatures of the frames so far, degrees Celsius, in any order.
    missing
        Number of frames still to be shot.
    """
    is_divisible = min(len(sensor_c), missing) >= LEAST_PART
    return is_divisible and max(sensor_c) - min(sensor_c) >= WIDEST_BIN_C


async def in_parts(step: ShootStep, inputs: SetInputs, shoot: Shoot) -> ShotSet:
    """Shoot the set. Whenever the sensor leaves a part's temperature range, shoot the remaining frames as a new part.

    Returns
    -------
    ShotSet
        Result of the last part, with the total number of frames in all parts.
    """
    shot = await shoot(step, inputs)
    frames = shot.frames
    while shot.has_drifted:
        assert isinstance(inputs, DarkInputs)
        part = replace(inputs, shot_before=inputs.shot_before + frames)
        shot = await shoot(replace(step, count=step.count - frames), part)
        frames += shot.frames
    return replace(shot, frames=frames)


def made_already(folder: NightFolder, step: ShootStep, camera: str) -> frozenset[str]:
    """Return the names of the set's frames that are already in masters from an earlier run of the night.

    The earlier run's split into parts is kept. It could not be repeated, because it depended on the temperatures and
    on the pace of the frames.
    """
    wanted, names = Wanted.of(step, camera, step.exposure_s), set[str]()
    for path in folder.masters():
        try:
            header = in_drivers_words(read_header(path))
        except FrameFileError:
            continue
        if wanted.includes(setup_of(header), header):
            names |= set(frame_names(header))
    return frozenset(names)
