"""Lights of a simulated rig in the format of an INDI capture program, for trying `--lights`."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count, cycle
from pathlib import Path

from coldframe.calibration.files.cards import Card
from coldframe.calibration.files.durable import write_durably
from coldframe.calibration.files.frame_file import FrameEncoder
from coldframe.config.frames import FrameKind
from coldframe.config.settings import Settings
from coldframe.config.simulated_rig import SimulatedRig
from coldframe.config.tables.sets import FrameSet
from coldframe.simulators.cards import driver_cards
from coldframe.simulators.sensor import Exposure, Sensor

FRAMES = 3
"""Number of lights per flat set."""


def write_lights(folder: Path, rig: SimulatedRig, night: Settings, ended_at: datetime) -> list[Path]:
    """Write lights that need the sets of an example night, and return the paths of the lights.

    For each of the night's flat sets, write `FRAMES` lights of a uniform sky. From one flat set to the next, the lights
    cycle through the exposures of the night's dark sets.

    Parameters
    ----------
    folder
        Folder to write to; existing files are kept.
    rig
        The rig that shoots the lights.
    night
        Night from which the gain, offset, setpoint and sets are taken.
    ended_at
        End of the last light, in UTC.

    Raises
    ------
    NotDurableError
        If a file cannot be written, or exists already.
    OSError
        If the folder cannot be created.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sensor, encoder = Sensor(rig.sensor, rig.seed), FrameEncoder()
    shots = list(_shots(rig, night))
    iso = int(night.camera.gain) if rig.dslr is not None and night.camera.gain is not None else None
    started_at = ended_at - sum((timedelta(seconds=shot.exposure_s) for shot in shots), timedelta())
    paths = []
    for shot in shots:
        cards = driver_cards(rig, FrameKind.LIGHT, shot, started_at, shot.sensor_c, iso=iso)
        path = folder / f"Light_{cards.get('FILTER', 'L')}_{shot.exposure_s:g}_secs_{shot.number:03d}.fits"
        write_durably(path, encoder.encode(sensor.render(shot), [Card(*card) for card in cards.items()]))
        started_at += timedelta(seconds=shot.exposure_s)
        paths.append(path)
    return paths


def _shots(rig: SimulatedRig, night: Settings) -> Iterator[Exposure]:
    camera, names = night.camera, [each.name for each in rig.wheel.filters] if rig.wheel else []
    flats = [each for each in night.sets if each.kind is FrameKind.FLAT]
    exposures = cycle(_dark_exposures(night.sets))
    numbers = count(1)
    for flat in flats:
        name, exposure_s = flat.filter, next(exposures)
        for _ in range(FRAMES):
            yield Exposure(
                number=next(numbers),
                exposure_s=exposure_s,
                light_e_per_s=rig.sky_e_per_s,
                filter_slot=names.index(name) if name in names else None,
                rotator_deg=_angle_deg(rig, flat),
                sensor_c=rig.ambient_c if camera.setpoint_c is None else camera.setpoint_c,
                gain=(camera.gain or 0) if rig.dslr is None else rig.gain_at(camera.gain or rig.dslr.iso[0]),
                offset=camera.offset or 0,
            )


def _angle_deg(rig: SimulatedRig, flat: FrameSet) -> float | None:
    """Return the rotator angle of lights that need the given flats; None without a rotator."""
    if rig.rotator is None:
        return None
    return rig.rotator.found_deg if flat.rotator_deg is None else flat.rotator_deg


def _dark_exposures(sets: tuple[FrameSet, ...]) -> list[float]:
    return [each.exposure_s for each in sets if each.kind is FrameKind.DARK and each.exposure_s is not None] or [1.0]
