"""Measure the noise of the lights. Frame counts that are given as percentages refer to this noise."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.capture.planning.read_lights import Lights
from coldframe.config.counts import LightNoise, NoiseGoal
from coldframe.config.settings import Settings
from coldframe.errors import MissingPackageError

if TYPE_CHECKING:  # only percentages need pixels and NumPy, whose import would delay all other plans
    from coldframe.calibration.camera.record import CameraRecords
    from coldframe.calibration.measuring.statistics import FrameStatistics


def light_noises(lights: Lights, settings: Settings) -> Mapping[Path, LightNoise]:
    """Return the noise of one light of each kind, by path.

    Of each kind, the light with the middle date is measured; a kind is skipped if this light cannot be measured. If no
    frame count is a percentage, the result is empty.

    Parameters
    ----------
    lights
        The lights. A kind is a combination of filter, exposure, setpoint and readout settings.
    settings
        Settings of the rig. The sky level is known only if the camera record in the storage folder states a bias level.
    """
    own = settings.lights
    if not any(isinstance(count, NoiseGoal) for count in (own.bias, own.dark, own.flat, own.dark_flat)):
        return {}
    from coldframe.calibration.camera.record import CAMERAS, CameraRecords  # noqa: PLC0415 - see the top

    sorts: dict[object, list[Path]] = defaultdict(list)
    for path, setup in lights.setups.items():
        sorts[setup.filter_name, setup.exposure_s, setup.setpoint_c, setup.readout].append(path)
    records = CameraRecords(settings.storage.folder / CAMERAS)
    found = {}
    for alike in sorts.values():
        path = alike[len(alike) // 2]
        statistics = _statistics(path)
        if statistics is not None and statistics.noise_adu > 0:
            bias_adu = _bias_adu(lights.setups[path], records)
            signal_adu = None if bias_adu is None else max(statistics.level_adu - bias_adu, 0.0)
            found[path] = LightNoise(statistics.noise_adu, signal_adu)
    return found


def _statistics(path: Path) -> "FrameStatistics | None":
    from coldframe.calibration.files.image_file import open_image, uint16_pixels  # noqa: PLC0415 - see the top
    from coldframe.calibration.files.scratch import scratch_folder  # noqa: PLC0415
    from coldframe.calibration.measuring.statistics import measure  # noqa: PLC0415

    try:
        with scratch_folder() as folder:
            return measure(uint16_pixels(open_image(path, folder))).statistics
    except (FrameFileError, MissingPackageError):
        return None


def _bias_adu(setup: FrameSetup, records: "CameraRecords") -> float | None:
    known = None if setup.camera is None else records.known(setup.camera, setup.readout)
    return None if known is None else known.bias_adu
