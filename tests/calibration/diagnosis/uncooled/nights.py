"""Darks and lights of one sensor without cooling, at several temperatures."""

from pathlib import Path

import numpy as np
from astropy.io import fits

from coldframe.config.simulated_rig import SensorModel
from coldframe.simulators.sensor import Exposure, Sensor

SENSOR = Sensor(
    SensorModel(
        model="uncooled",
        width=320,
        height=240,
        pixel_um=5,
        bit_depth=16,
        e_per_adu=1,
        full_well_e=60_000,
        read_noise_e=5,
        converter_noise_adu=1,
        pedestal_adu=1000,
        dark_e_per_s=0.1,
        dark_reference_c=10,
        dark_doubling_c=6,
        hot_fraction=0.01,
        hot_e_per_s=10,
        prnu=0.005,
        cosmic_rays_per_cm2_min=0,
    ),
    seed=11,
)
EXPOSURE_S = 60.0
DATE = "2026-11-20T22:00:00"


def write_dark(folder: Path, sensor_c: float, *, stated_c: float | None = None, **cards: object) -> Path:
    """Write a master of 12 darks; `stated_c` is the temperature in its header if it is not the true one."""
    shots = [Exposure(int(1000 * sensor_c) + number, EXPOSURE_S, sensor_c=sensor_c) for number in range(12)]
    mean = np.mean([SENSOR.render(shot) for shot in shots], axis=0).astype(np.float32)
    path = folder / f"MasterDark_{sensor_c:g}C.fits"
    header = _header(sensor_c if stated_c is None else stated_c, IMAGETYP="Master Dark", NCOMBINE=12, **cards)
    fits.PrimaryHDU(mean, header).writeto(path)
    return path


def write_light(folder: Path, sensor_c: float, *, stated_c: float | None, number: int = 0) -> Path:
    """Write a light of a true temperature; `stated_c` is that in its header, None for a header without one."""
    shot = Exposure(10**6 + number, EXPOSURE_S, light_e_per_s=5.0, sensor_c=sensor_c)
    path = folder / f"light_{sensor_c:g}C_{number}.fits"
    fits.PrimaryHDU(SENSOR.render(shot), _header(stated_c, IMAGETYP="Light Frame")).writeto(path)
    return path


def _header(sensor_c: float | None, **cards: object) -> fits.Header:
    known = {"INSTRUME": "Uncooled", "EXPTIME": EXPOSURE_S, "GAIN": 1, "DATE-OBS": DATE, "XBINNING": 1, **cards}
    return fits.Header((known | ({} if sensor_c is None else {"CCD-TEMP": sensor_c})).items())
